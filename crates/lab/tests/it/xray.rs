//! `reluctor xray` on networks whose answers are known by hand.

mod changes;
mod layers;
mod networks;
mod regions;
