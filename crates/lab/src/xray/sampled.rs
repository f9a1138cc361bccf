//! Pieces along a segment seen from a few points of it: every unit that is in one piece of its activation here and in another
//! there has bent between. That is fast for any network, and a lower bound.

use super::role::{Role, role};
use super::run::{Counted, Passes, Runner, Trace};
use reluctor::error::Result;
use reluctor::graph::Graph;
use reluctor::tensor::{Named, Tensor};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Points on the segment, its ends among them.
const POINTS: usize = 9;

/// How many bends lie between the ends at least.
///
/// # Errors
/// Where the network cannot run.
pub fn bends_at_least(graph: &Graph, ends: [&Named; 2], runner: &dyn Runner, passes: &Passes) -> Result<usize> {
    let loaded = Counted::load(runner, graph, passes)?;
    let mut bends = 0;
    let mut before: Option<Vec<Vec<usize>>> = None;
    for point in 0..POINTS {
        let t = point as f32 / (POINTS - 1) as f32;
        let states = states(graph, &loaded.trace(&between(ends, t)?)?)?;
        if let Some(before) = &before {
            let differences = |(one, other): (&Vec<usize>, &Vec<usize>)| -> usize {
                one.iter().zip(other).map(|(one, other)| one.abs_diff(*other)).sum()
            };
            bends += before.iter().zip(&states).map(differences).sum::<usize>();
        }
        before = Some(states);
    }
    Ok(bends)
}

/// A point of the segment.
pub fn between([a, b]: [&Named; 2], t: f32) -> Result<Named> {
    let point = |((name, a), (_, b)): (&(String, Tensor), &(String, Tensor))| {
        let (a, b) = (a.as_real()?, b.as_real()?);
        Ok((name.clone(), Tensor::Real(a * (1.0 - t) + b * t)))
    };
    a.iter().zip(b).map(point).collect()
}

/// The piece of every unit of every activation.
fn states(graph: &Graph, trace: &Trace) -> Result<Vec<Vec<usize>>> {
    let mut states = Vec::new();
    for node in &graph.nodes {
        let Role::Bend(bend) = role(graph, node) else { continue };
        let Some(Tensor::Real(z)) = &trace[bend.input.0] else { continue };
        let pixels = z.shape().iter().skip(2).product::<usize>().max(1);
        let pieces: Vec<_> = (0..bend.channels()).map(|channel| bend.pieces(channel)).collect();
        let of_unit = |(unit, &z): (usize, &f32)| pieces[unit / pixels % pieces.len()].at(f64::from(z));
        states.push(z.iter().enumerate().map(of_unit).collect());
    }
    Ok(states)
}

/// A square of the input space, as a number for each of `side` x `side` points that tells its linear region: the same number
/// for the same pieces of all units. The square's corner is `origin`, its sides are `across` and `down`.
///
/// # Errors
/// Where the network cannot run.
pub fn slice(
    graph: &Graph,
    [origin, across, down]: [&Named; 3],
    side: usize,
    runner: &dyn Runner,
    passes: &Passes,
) -> Result<Vec<u64>> {
    let loaded = Counted::load(runner, graph, passes)?;
    let mut regions = Vec::new();
    for (row, column) in (0..side).flat_map(|row| (0..side).map(move |column| (row, column))) {
        let [s, t] = [column, row].map(|place| place as f32 / (side - 1).max(1) as f32);
        let mut point = Named::new();
        for ((name, o), ((_, u), (_, v))) in origin.iter().zip(across.iter().zip(down)) {
            let (o, u, v) = (o.as_real()?, u.as_real()?, v.as_real()?);
            point.push((name.clone(), Tensor::Real(o + &(u * s) + &(v * t))));
        }
        let mut hasher = DefaultHasher::new();
        states(graph, &loaded.trace(&point)?)?.hash(&mut hasher);
        regions.push(hasher.finish());
    }
    Ok(regions)
}
