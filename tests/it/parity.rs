//! Every kernel variant against the f64 reference, within the certified error bound of each element.

pub mod convolutions;
mod elementwise;
mod exact;
pub mod kinds;
mod moves;
pub mod rows;
mod stems;

use reluctor::kernels;
use reluctor::plan::{Limits, plan};
use reluctor_testing::build::Case;
use reluctor_testing::check::{Agreement, check_plan};
use reluctor_testing::device::{checked_gpu, gpu};
use std::collections::BTreeSet;

/// A case, and the limits it is planned under.
pub type Limited = (Case, Limits);

/// Everything that the parity tests run.
pub fn cases() -> Vec<Limited> {
    [convolutions::cases(), elementwise::cases(), kinds::cases(), moves::cases(), rows::cases()].concat()
}

fn check_all(cases: Vec<Limited>) {
    for (case, limits) in cases {
        let plan = plan(&case.graph, &limits).unwrap_or_else(|error| panic!("{}: {error}", case.graph.name));
        check_plan(gpu(), &plan, &case, Agreement::Bounded);
    }
}

/// Runs those cases in which some kernel is seen with some store for the first time, with run-time checks on.
fn check_some_with_run_time_checks(cases: Vec<Limited>) {
    let mut seen = BTreeSet::new();
    for (case, limits) in cases {
        let plan = plan(&case.graph, &limits).unwrap_or_else(|error| panic!("{}: {error}", case.graph.name));
        let families = plan.dispatches().map(|dispatch| {
            let last = dispatch.variant.parts.last().map_or("", |part| part.name);
            (dispatch.variant.kernel.name, last)
        });
        let before = seen.len();
        seen.extend(families);
        if seen.len() > before {
            check_plan(checked_gpu(), &plan, &case, Agreement::Bounded);
        }
    }
}

#[test]
fn convolutions_agree_with_the_reference() {
    check_all(convolutions::cases());
}

#[test]
fn element_by_element_operators_agree_with_the_reference() {
    check_all(elementwise::cases());
}

#[test]
fn comparisons_choices_and_places_agree_with_the_reference() {
    check_all(kinds::cases());
}

#[test]
fn pools_products_reductions_and_moves_agree_with_the_reference() {
    check_all(moves::cases());
}

#[test]
fn normalized_rows_agree_with_the_reference() {
    check_all(rows::cases());
}

#[test]
fn kernels_with_run_time_checks_agree_with_the_reference() {
    check_some_with_run_time_checks(cases());
}

#[test]
fn the_parity_plans_execute_every_listed_variant_and_no_other() {
    let mut executed = BTreeSet::new();
    for (case, limits) in cases() {
        let plan = plan(&case.graph, &limits).unwrap_or_else(|error| panic!("{}: {error}", case.graph.name));
        executed.extend(plan.dispatches().map(|dispatch| dispatch.variant.to_string()));
    }
    let listed: BTreeSet<String> = kernels::variants().map(|variant| variant.to_string()).collect();
    let untested: Vec<_> = listed.difference(&executed).collect();
    let unlisted: Vec<_> = executed.difference(&listed).collect();
    assert!(untested.is_empty() && unlisted.is_empty(), "never executed: {untested:?}; not listed: {unlisted:?}");
}
