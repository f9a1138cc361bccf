// A segment has one scale and one bias.
const OWN_SCALES: bool = false;
