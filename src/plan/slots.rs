//! Buffers that are never needed at the same time become one: linear-scan allocation over the steps.

use super::{Buffer, BufferId, Output, Plan, View};
use crate::error::Result;

/// When a buffer is first written and last read, as step numbers counted from 1; inputs are written at 0.
#[derive(Clone, Copy)]
struct Life {
    first: usize,
    last: usize,
}

/// Rewrites a plan in which every value has its own buffer into one in which they share slots.
///
/// A step's output never shares a buffer with its inputs: WebGPU forbids one dispatch to read and write the same buffer.
pub(super) fn assign(mut plan: Plan) -> Result<Plan> {
    let lives = lives(&plan);
    let mut buffers: Vec<Buffer> = Vec::new();
    // For each slot: where it is in `buffers`, and the step after which it is free.
    let mut slots: Vec<(usize, usize)> = Vec::new();
    let mut places = vec![None; plan.buffers.len()];
    let mut order: Vec<usize> = (0..plan.buffers.len()).collect();
    order.sort_by_key(|&id| lives[id].map(|life| life.first));
    for id in order {
        let buffer = &plan.buffers[id];
        let Some(life) = lives[id] else { continue };
        if buffer.contents.is_some() {
            places[id] = Some(BufferId(buffers.len()));
            buffers.push(buffer.clone());
            continue;
        }
        let free = slots.iter_mut().filter(|(_, last)| *last < life.first);
        // The slot that wastes or grows least.
        match free.min_by_key(|(slot, _)| buffers[*slot].bytes.abs_diff(buffer.bytes)) {
            Some((slot, last)) => {
                *last = life.last;
                buffers[*slot].bytes = buffers[*slot].bytes.max(buffer.bytes);
                places[id] = Some(BufferId(*slot));
            }
            None => {
                slots.push((buffers.len(), life.last));
                places[id] = Some(BufferId(buffers.len()));
                buffers.push(Buffer { label: format!("slot {}", slots.len()), ..buffer.clone() });
            }
        }
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
            dispatch.inputs.iter().chain([&dispatch.output]).for_each(|view| touch(view, index + 1));
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

fn each_view(plan: &mut Plan, change: &mut impl FnMut(&mut View)) {
    for port in &mut plan.inputs {
        change(&mut port.view);
    }
    for step in &mut plan.steps {
        for dispatch in &mut step.dispatches {
            change(&mut dispatch.output);
            dispatch.inputs.iter_mut().for_each(&mut *change);
        }
        step.outputs.iter_mut().for_each(|port| change(&mut port.view));
    }
    for output in &mut plan.outputs {
        if let Output::Computed(port) = output {
            change(&mut port.view);
        }
    }
}
