//! Buffers that are never needed at the same time become one.

use super::{Buffer, BufferId, Output, Plan, View};
use crate::error::Result;
use std::cmp::Reverse;

/// When a buffer is first written and last read, as step numbers counted from 1; inputs are written at 0.
#[derive(Clone, Copy)]
struct Life {
    first: usize,
    last: usize,
}

impl Life {
    fn overlaps(self, other: Life) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// A buffer that tensors share in turn.
struct Slot {
    bytes: u64,
    tensors: Vec<usize>,
}

/// Rewrites a plan in which every value has its own buffer into one in which they share slots.
///
/// A step's output never shares a buffer with its inputs: WebGPU forbids one dispatch to read and write the same buffer.
pub(super) fn assign(mut plan: Plan) -> Result<Plan> {
    let lives = lives(&plan);
    plan.live_bytes = live_bytes(&plan, &lives);
    let (constants, tensors): (Vec<usize>, Vec<usize>) =
        (0..plan.buffers.len()).filter(|&id| lives[id].is_some()).partition(|&id| plan.buffers[id].contents.is_some());
    let slots = fewest_bytes(&plan.buffers, &lives, tensors);
    let mut places = vec![None; plan.buffers.len()];
    let mut buffers: Vec<Buffer> = Vec::new();
    for (number, slot) in slots.into_iter().enumerate() {
        slot.tensors.iter().for_each(|&id| places[id] = Some(BufferId(number)));
        buffers.push(Buffer { label: format!("slot {}", number + 1), bytes: slot.bytes, contents: None });
    }
    for id in constants {
        places[id] = Some(BufferId(buffers.len()));
        buffers.push(plan.buffers[id].clone());
    }
    let mut place = |view: &mut View| {
        if let Some(buffer) = places[view.buffer.0] {
            view.buffer = buffer;
        }
    };
    each_view(&mut plan, &mut place);
    plan.buffers = buffers;
    Ok(plan)
}

/// Neither order is always the better one: as they come, where slots grow with the network, or the largest first, which fits
/// the rest between (greedy by size: Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference, 2020).
fn fewest_bytes(buffers: &[Buffer], lives: &[Option<Life>], mut tensors: Vec<usize>) -> Vec<Slot> {
    tensors.sort_by_key(|&id| lives[id].map(|life| life.first));
    let as_they_come = share(buffers, lives, &tensors);
    tensors.sort_by_key(|&id| Reverse(buffers[id].bytes));
    let largest_first = share(buffers, lives, &tensors);
    let bytes = |slots: &[Slot]| slots.iter().map(|slot| slot.bytes).sum::<u64>();
    if bytes(&largest_first) < bytes(&as_they_come) { largest_first } else { as_they_come }
}

/// Gives each tensor, in this order, the slot that wastes or grows least of those that are free all its life.
fn share(buffers: &[Buffer], lives: &[Option<Life>], order: &[usize]) -> Vec<Slot> {
    let mut slots: Vec<Slot> = Vec::new();
    for &id in order {
        let (life, bytes) = (lives[id], buffers[id].bytes);
        let overlaps = |&other: &usize| lives[other].zip(life).is_some_and(|(other, life)| other.overlaps(life));
        let free = slots.iter_mut().filter(|slot| !slot.tensors.iter().any(overlaps));
        match free.min_by_key(|slot| slot.bytes.abs_diff(bytes)) {
            Some(slot) => {
                slot.bytes = slot.bytes.max(bytes);
                slot.tensors.push(id);
            }
            None => slots.push(Slot { bytes, tensors: vec![id] }),
        }
    }
    slots
}

/// The largest sum of tensors that live during one step.
fn live_bytes(plan: &Plan, lives: &[Option<Life>]) -> u64 {
    let tensors = plan.buffers.iter().zip(lives).filter(|(buffer, _)| buffer.contents.is_none());
    let tensors: Vec<(u64, Life)> = tensors.filter_map(|(buffer, life)| Some((buffer.bytes, (*life)?))).collect();
    let during =
        |step| tensors.iter().filter(|(_, life)| (life.first..=life.last).contains(&step)).map(|(b, _)| b).sum();
    (0..=plan.steps.len() + 1).map(during).max().unwrap_or(0)
}

/// The life of each buffer that anything touches.
fn lives(plan: &Plan) -> Vec<Option<Life>> {
    let mut lives: Vec<Option<Life>> = vec![None; plan.buffers.len()];
    let mut touch = |view: &View, step: usize| {
        let life = lives[view.buffer.0].get_or_insert(Life { first: step, last: step });
        life.last = life.last.max(step);
    };
    for port in &plan.inputs {
        touch(&port.view, 0);
    }
    for (index, step) in plan.steps.iter().enumerate() {
        for dispatch in &step.dispatches {
            dispatch.views().for_each(|view| touch(view, index + 1));
        }
        step.outputs.iter().for_each(|port| touch(&port.view, index + 1));
    }
    for output in &plan.outputs {
        if let Output::Computed(port) = output {
            touch(&port.view, plan.steps.len() + 1);
        }
    }
    lives
}

/// Every view of the plan.
pub(super) fn each_view(plan: &mut Plan, change: &mut impl FnMut(&mut View)) {
    for port in &mut plan.inputs {
        change(&mut port.view);
    }
    for step in &mut plan.steps {
        for dispatch in &mut step.dispatches {
            change(&mut dispatch.output);
            dispatch.inputs.iter_mut().chain(&mut dispatch.scratch).for_each(&mut *change);
        }
        step.outputs.iter_mut().for_each(|port| change(&mut port.view));
    }
    for output in &mut plan.outputs {
        if let Output::Computed(port) = output {
            change(&mut port.view);
        }
    }
}
