//! Parts of a concatenation are computed where they end up, so that nothing is left to copy.

use super::{BufferId, Output, Plan, View, slots};
use crate::error::Result;

/// A dispatch that copies all of one buffer to one place of another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Join {
    pub step: usize,
    pub dispatch: usize,
    pub part: BufferId,
    pub whole: BufferId,
    /// In bytes.
    pub offset: u64,
}

/// The plan with slots for its buffers, and with as many parts in place as can be without taking more memory: a part that waits
/// long for the others would keep room for them all that time.
pub(super) fn assign(plan: Plan, joins: &[Join], alignment: u64) -> Result<Plan> {
    let apart = slots::assign(plan.clone())?;
    if joins.is_empty() {
        return Ok(apart);
    }
    let most = apart.peak_bytes();
    let placed = |joins: &[Join]| -> Result<Option<Plan>> {
        let plan = slots::assign(in_place(plan.clone(), joins, alignment))?;
        Ok((plan.peak_bytes() <= most).then_some(plan))
    };
    if let Some(all) = placed(joins)? {
        return Ok(all);
    }
    let (mut best, mut kept) = (apart, Vec::new());
    let tried = if plan.buffers.len() <= LARGEST_TRIED { MOST_TRIED } else { 0 };
    for &join in joins.iter().take(tried) {
        kept.push(join);
        match placed(&kept)? {
            Some(better) => best = better,
            None => drop(kept.pop()),
        }
    }
    Ok(best)
}

/// Of so many parts each is tried by itself, where all together take more memory.
const MOST_TRIED: usize = 64;

/// In plans of at most so many buffers: what it takes to share them grows with their square.
const LARGEST_TRIED: usize = 2048;

/// Where a buffer lies: in which one, from which byte on.
type Home = (usize, u64);

/// Lets each part that can be lie in its whole, and removes the copies of those.
fn in_place(mut plan: Plan, joins: &[Join], alignment: u64) -> Plan {
    // The caller's tensors keep buffers of their own, and so do constants.
    let mut movable: Vec<bool> = plan.buffers.iter().map(|buffer| buffer.contents.is_none()).collect();
    let outputs = plan.outputs.iter().filter_map(|output| match output {
        Output::Computed(port) => Some(port),
        Output::Constant(..) => None,
    });
    plan.inputs.iter().chain(outputs).for_each(|port| movable[port.view.buffer.0] = false);
    let mut homes: Vec<Home> = (0..plan.buffers.len()).map(|id| (id, 0)).collect();
    let mut done: Vec<Join> = Vec::new();
    for join in joins {
        let (part, (whole, start)) = (join.part.0, homes[join.whole.0]);
        let offset = start + join.offset;
        if !movable[part] || homes[part] != (part, 0) || whole == part || !offset.is_multiple_of(alignment) {
            continue;
        }
        let place = |&(id, at): &Home| if id == part { (whole, offset + at) } else { (id, at) };
        let moved: Vec<Home> = homes.iter().map(place).collect();
        done.push(*join);
        // A place within the part may be aligned to it, and not to the whole.
        let aligned = moved.iter().all(|&(_, at)| at.is_multiple_of(alignment));
        if aligned && !reads_what_it_writes(&plan, &moved, &done) {
            homes = moved;
        } else {
            done.pop();
        }
    }
    for (index, step) in plan.steps.iter_mut().enumerate() {
        let had = step.dispatches.len();
        let mut at = 0..had;
        step.dispatches.retain(|_| {
            let at = at.next();
            !done.iter().any(|join| (join.step, Some(join.dispatch)) == (index, at))
        });
        if step.dispatches.is_empty() && had > 0 {
            step.bytes = 0;
        }
    }
    slots::each_view(&mut plan, &mut |view: &mut View| {
        let (id, at) = homes[view.buffer.0];
        *view = View { buffer: BufferId(id), offset: view.offset + at, ..*view };
    });
    plan
}

/// Whether a dispatch other than these copies would write a buffer that it reads, which WebGPU forbids.
fn reads_what_it_writes(plan: &Plan, homes: &[Home], copies: &[Join]) -> bool {
    plan.steps.iter().enumerate().any(|(step, of)| {
        of.dispatches.iter().enumerate().any(|(dispatch, work)| {
            let home = |view: &View| homes[view.buffer.0].0;
            work.inputs.iter().any(|input| home(input) == home(&work.output))
                && !copies.iter().any(|join| (join.step, join.dispatch) == (step, dispatch))
        })
    })
}
