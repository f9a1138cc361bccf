//! The comparison that every device test goes through.

use crate::bounds::certified;
use crate::build::Case;
use crate::device::{gpu, run};
use reluctor::gpu::Gpu;
use reluctor::plan::{Limits, Plan, plan};
use reluctor::tensor::Tensor;

/// How closely a device must agree with the f64 reference.
#[derive(Clone, Copy, PartialEq)]
pub enum Agreement {
    /// Within the certified error bound of each element.
    Bounded,
    /// In every bit, but for the sign of zero: for sums and products of small integers.
    Exact,
}

/// The plan of a case for the device under test.
pub fn planned(case: &Case) -> Plan {
    plan(&case.graph, &gpu().limits()).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a case on the device and panics with the first elements beyond their bounds.
pub fn check(case: &Case) {
    check_plan(gpu(), &planned(case), case, Agreement::Bounded);
}

/// The same for integers.
pub fn check_exact(case: &Case) {
    check_plan(gpu(), &planned(case), case, Agreement::Exact);
}

/// The same under other limits than the device's own.
pub fn check_under(case: &Case, limits: &Limits) -> Plan {
    let plan = plan(&case.graph, limits).unwrap_or_else(|error| panic!("{error}"));
    check_plan(gpu(), &plan, case, Agreement::Bounded);
    plan
}

/// The same for a plan that is there already.
pub fn check_plan(gpu: &Gpu, plan: &Plan, case: &Case, agreement: Agreement) {
    let violations = violations_of(Some(plan), case, &run(gpu, plan, &case.fed()), agreement);
    assert!(violations.is_empty(), "{}: {}", case.graph.name, violations.join("\n"));
}

/// The elements of a device's results that no correct device could have returned: the first of each output.
pub fn violations(case: &Case, results: &[(String, Tensor)], agreement: Agreement) -> Vec<String> {
    violations_of(None, case, results, agreement)
}

/// The same where a plan says how sums are formed.
fn violations_of(plan: Option<&Plan>, case: &Case, results: &[(String, Tensor)], agreement: Agreement) -> Vec<String> {
    let expected = certified(&case.graph, plan, &case.fed());
    assert_eq!(results.len(), expected.len());
    let mut violations = Vec::new();
    for ((name, result), expected) in results.iter().zip(&expected) {
        assert_eq!((name, result.shape()), (&expected.name, expected.exact.shape()));
        let result = result.as_real().unwrap();
        let beyond = |&(_, ((&got, &exact), &bound)): &(usize, ((&f32, &f64), &f64))| match agreement {
            Agreement::Exact => f64::from(got) != exact,
            // NaN is beyond every bound, and an infinite bound would accept everything.
            Agreement::Bounded => !((f64::from(got) - exact).abs() <= bound && bound.is_finite()),
        };
        let mut elements = result.iter().zip(&expected.exact).zip(&expected.bound).enumerate().filter(beyond);
        if let Some((at, ((got, exact), bound))) = elements.next() {
            let more = elements.count();
            let off = (f64::from(*got) - exact).abs() / bound;
            violations.push(format!("'{name}'[{at}] is {got}, not {exact} +- {bound:e}: {off:.3} bounds; {more} more"));
        }
    }
    violations
}
