// A segment is a row, and its elements have scales and biases of their own.
const OWN_SCALES: bool = true;
