//! `--device`: which adapter, if any, a network runs on.

use super::adapter::{AdapterKind, AdapterReport};
use crate::error::{Error, Result, escape};
use std::fmt;
use std::str::FromStr;

/// The environment variable that replaces `auto` and `gpu` by a name, as in wgpu's own tools.
const NAME_VARIABLE: &str = "WGPU_ADAPTER_NAME";

/// What the user asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Choice {
    /// A discrete, else an integrated, else a virtual GPU, else the CPU executor; never a software adapter.
    #[default]
    Auto,
    /// The CPU executor.
    Cpu,
    /// The best adapter there is, software ones last.
    Gpu,
    /// An adapter's position in [`adapters`](super::adapters).
    Index(usize),
    /// A part of an adapter's name, in any case.
    Name(String),
}

impl Choice {
    /// The index of the chosen adapter, or none for the CPU executor. Where the choice is `auto` or `gpu` and
    /// `WGPU_ADAPTER_NAME` is set, the adapter it names is taken.
    ///
    /// # Errors
    /// [`Error::Device`] where an adapter was asked for that is not there; it lists those that are.
    pub fn pick(&self, adapters: &[AdapterReport]) -> Result<Option<usize>> {
        self.pick_under(std::env::var(NAME_VARIABLE).ok().as_deref(), adapters)
    }

    fn pick_under(&self, variable: Option<&str>, adapters: &[AdapterReport]) -> Result<Option<usize>> {
        let missing = |wanted: &str| Error::Device(format!("{wanted}; {}", listing(adapters)));
        match (self, variable.filter(|name| !name.is_empty())) {
            (Choice::Cpu, _) => Ok(None),
            (Choice::Auto | Choice::Gpu, Some(name)) => best(adapters, |adapter| is_called(adapter, name))
                .ok_or_else(|| missing(&format!("no adapter's name contains {NAME_VARIABLE}='{}'", escape(name))))
                .map(Some),
            (Choice::Auto, None) => Ok(best(adapters, |adapter| adapter.kind.is_gpu())),
            (Choice::Gpu, None) => best(adapters, |_| true).ok_or_else(|| missing("there is no adapter")).map(Some),
            (Choice::Index(index), _) => best(adapters, |adapter| adapter.index == *index)
                .ok_or_else(|| missing(&format!("no adapter {index}")))
                .map(Some),
            (Choice::Name(name), _) => best(adapters, |adapter| is_called(adapter, name))
                .ok_or_else(|| missing(&format!("no adapter's name contains '{}'", escape(name))))
                .map(Some),
        }
    }
}

/// The most wanted of the adapters that fit: one device under two APIs counts under the first.
fn best(adapters: &[AdapterReport], fits: impl Fn(&AdapterReport) -> bool) -> Option<usize> {
    let wanted = |adapter: &&AdapterReport| -> (AdapterKind, usize) { (adapter.kind, adapter.index) };
    adapters.iter().filter(|adapter| fits(adapter)).min_by_key(wanted).map(|adapter| adapter.index)
}

fn is_called(adapter: &AdapterReport, part: &str) -> bool {
    adapter.name.to_lowercase().contains(&part.to_lowercase())
}

fn listing(adapters: &[AdapterReport]) -> String {
    match adapters {
        [] => "no graphics driver was found".to_string(),
        some => format!("there are: {}", some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

impl FromStr for Choice {
    type Err = Error;

    /// `auto`, `cpu`, `gpu`, a number, or a part of an adapter's name.
    fn from_str(text: &str) -> Result<Self> {
        Ok(match text.to_lowercase().as_str() {
            "" => return Err(Error::Usage("an empty device name fits every adapter; use `gpu`".to_string())),
            "auto" => Choice::Auto,
            "cpu" => Choice::Cpu,
            "gpu" => Choice::Gpu,
            other => other.parse().map_or_else(|_| Choice::Name(text.to_string()), Choice::Index),
        })
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Auto => f.write_str("auto"),
            Choice::Cpu => f.write_str("cpu"),
            Choice::Gpu => f.write_str("gpu"),
            Choice::Index(index) => write!(f, "{index}"),
            Choice::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{AdapterFeatures, AdapterLimits};

    fn machine(devices: &[(&str, AdapterKind)]) -> Vec<AdapterReport> {
        let report = |(index, &(name, kind)): (usize, &(&str, AdapterKind))| AdapterReport {
            index,
            name: name.to_string(),
            backend: "vulkan".to_string(),
            driver: String::new(),
            driver_info: String::new(),
            kind,
            limits: AdapterLimits::from(&wgpu::Limits::default()),
            features: AdapterFeatures {
                timestamp_query: false,
                timestamp_query_inside_passes: false,
                shader_f16: false,
                shader_int64: false,
                subgroup: false,
                subgroup_min_size: 4,
                subgroup_max_size: 128,
                immediates: false,
                pipeline_cache: false,
                cooperative_matrix: vec![],
            },
        };
        devices.iter().enumerate().map(report).collect()
    }

    fn workstation() -> Vec<AdapterReport> {
        use AdapterKind::{Discrete, Integrated, Software};
        machine(&[("llvmpipe", Software), ("Iris", Integrated), ("GeForce A", Discrete), ("GeForce B", Discrete)])
    }

    fn pick(text: &str, variable: Option<&str>, adapters: &[AdapterReport]) -> Result<Option<usize>> {
        text.parse::<Choice>()?.pick_under(variable, adapters)
    }

    #[test]
    fn auto_takes_the_first_discrete_gpu_and_never_a_software_adapter() {
        assert_eq!(pick("auto", None, &workstation()).unwrap(), Some(2));
        assert_eq!(pick("auto", None, &workstation()[..2]).unwrap(), Some(1));
        assert_eq!(pick("auto", None, &workstation()[..1]).unwrap(), None);
        assert_eq!(pick("auto", None, &[]).unwrap(), None);
    }

    #[test]
    fn gpu_takes_a_software_adapter_only_where_there_is_no_other() {
        assert_eq!(pick("gpu", None, &workstation()).unwrap(), Some(2));
        assert_eq!(pick("GPU", None, &workstation()[..1]).unwrap(), Some(0));
        assert!(matches!(pick("gpu", None, &[]), Err(Error::Device(_))));
    }

    #[test]
    fn an_index_or_a_part_of_a_name_in_any_case_picks_one() {
        assert_eq!(pick("3", None, &workstation()).unwrap(), Some(3));
        assert_eq!(pick("gEfOrCe b", None, &workstation()).unwrap(), Some(3));
        assert_eq!(pick("LLVM", None, &workstation()).unwrap(), Some(0));
        let message = pick("radeon", None, &workstation()).unwrap_err().to_string();
        assert!(message.contains("'radeon'") && message.contains("0: llvmpipe"), "{message}");
        assert!(matches!(pick("4", None, &workstation()), Err(Error::Device(_))));
        assert!(matches!(pick("", None, &workstation()), Err(Error::Usage(_))));
    }

    #[test]
    fn the_environment_counts_below_the_flag() {
        assert_eq!(pick("auto", Some("llvm"), &workstation()).unwrap(), Some(0));
        assert_eq!(pick("gpu", Some("iris"), &workstation()).unwrap(), Some(1));
        assert_eq!(pick("cpu", Some("iris"), &workstation()).unwrap(), None);
        assert_eq!(pick("2", Some("iris"), &workstation()).unwrap(), Some(2));
        assert_eq!(pick("llvm", Some("iris"), &workstation()).unwrap(), Some(0));
        assert_eq!(pick("auto", Some(""), &workstation()).unwrap(), Some(2));
        let message = pick("auto", Some("radeon"), &workstation()).unwrap_err().to_string();
        assert!(message.contains("WGPU_ADAPTER_NAME"), "{message}");
    }

    #[test]
    fn a_choice_prints_as_it_is_written() {
        for text in ["auto", "cpu", "gpu", "7", "Radeon RX"] {
            assert_eq!(text.parse::<Choice>().unwrap().to_string(), text);
        }
    }
}
