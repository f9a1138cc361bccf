//! A test-only switch: a piece of a shader is replaced in what one node runs, or all, so that a test can see whether a
//! comparison notices and whom it blames.

use super::{Limits, Plan, plan};
use crate::error::{Error, Result, escape};
use crate::graph::Graph;
use crate::kernels::{Kernel, Variant};
use std::str::FromStr;

/// A wrong piece of WGSL. As text: `NODE:FIND=>REPLACE`, where NODE has no colon and is empty for all nodes.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The node whose dispatches change; none for all.
    pub node: Option<String>,
    /// The text to look for.
    pub find: String,
    /// What stands there instead, everywhere in the module.
    pub replace: String,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(node, rest)| Some((node, rest.split_once("=>")?)));
        let Some((node, (find, replace))) = parts.filter(|(_, (find, _))| !find.is_empty()) else {
            return Err("expected NODE:FIND=>REPLACE".to_string());
        };
        let node = (!node.is_empty()).then(|| node.to_string());
        Ok(Fault { node, find: find.to_string(), replace: replace.to_string() })
    }
}

impl Fault {
    /// The variant with the wrong text, where it has the right one. Its texts are leaked: a kernel's live as long as the
    /// program, and only a test has wrong ones. Its name is new, since pipelines are kept by name.
    fn spoil(&self, variant: &Variant) -> Option<Variant> {
        let source = variant.own_source();
        if !source.contains(&self.find) {
            return None;
        }
        let kernel = Kernel {
            name: format!("{variant}[{} => {}]", escape(&self.find), escape(&self.replace)).leak(),
            source: source.replace(&self.find, &self.replace).leak(),
            includes: &[],
            params: variant.kernel.params,
            combinations: || vec![vec![]],
        };
        Some(Variant { kernel: Box::leak(Box::new(kernel)), parts: vec![] })
    }
}

impl Plan {
    /// Puts a fault into the dispatches that it concerns.
    ///
    /// # Errors
    /// [`Error::Usage`] where no such dispatch has the text.
    #[doc(hidden)]
    pub fn inject(&mut self, fault: &Fault) -> Result<()> {
        let concerned = |name: &str| fault.node.as_deref().is_none_or(|node| node == name);
        let mut found = false;
        for step in self.steps.iter_mut().filter(|step| concerned(&step.name)) {
            for dispatch in &mut step.dispatches {
                if let Some(spoilt) = fault.spoil(&dispatch.variant) {
                    dispatch.variant = spoilt;
                    found = true;
                }
            }
        }
        if found {
            return Ok(());
        }
        let what = fault.node.as_deref().map_or("any node".to_string(), |node| format!("node '{}'", escape(node)));
        Err(Error::Usage(format!("no shader of {what} has the text '{}'", escape(&fault.find))))
    }
}

/// A plan with faults.
///
/// # Errors
/// Those of [`plan`] and of [`Plan::inject`].
#[doc(hidden)]
pub fn plan_with_faults(graph: &Graph, limits: &Limits, faults: &[Fault]) -> Result<Plan> {
    let mut plan = plan(graph, limits)?;
    faults.iter().try_for_each(|fault| plan.inject(fault))?;
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::variants;

    fn fault(text: &str) -> Fault {
        text.parse().unwrap()
    }

    #[test]
    fn a_fault_is_read_up_to_the_first_colon_and_arrow() {
        let [node, find, replace] = ["conv1", "let x: u32 = 0u;", "a => b"].map(str::to_string);
        assert_eq!(fault("conv1:let x: u32 = 0u;=>a => b"), Fault { node: Some(node), find, replace });
        assert_eq!(fault(":x=>").node, None);
        for text in ["", "node", "node:text", "node:=>y", "find=>replace"] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_spoilt_variant_has_a_name_of_its_own_and_is_not_trusted() {
        let variant = variants().next().unwrap();
        assert!(variant.is_listed());
        let [one, other] = [":sum=>total", ":sum=>amount"].map(|text| fault(text).spoil(&variant).unwrap());
        assert!(one.source().contains("total") && !one.source().contains("sum +="));
        assert_ne!(one.to_string(), other.to_string());
        assert!(!one.is_listed());
        assert!(fault(":no such text=>x").spoil(&variant).is_none());
    }
}
