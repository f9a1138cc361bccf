//! Test cases in ONNX's layout: a folder with `model.onnx` and a folder `test_data_set_N` for each set of stored inputs and
//! outputs; and which of those inputs stay open until the network runs.

use reluctor::error::{Error, Result};
use reluctor::files;
use reluctor::tensor::Tensor;
use std::path::{Path, PathBuf};

/// The tensors `<stem>_0`, `<stem>_1` ... of a folder, `.npy` or `.pb`, up to the first gap.
///
/// # Errors
/// As [`files::read_tensor`].
pub fn numbered(folder: &Path, stem: &str) -> Result<Vec<(PathBuf, Tensor)>> {
    let file = |index: usize| {
        let spellings = ["npy", "pb"].map(|extension| folder.join(format!("{stem}_{index}.{extension}")));
        spellings.into_iter().find(|path| path.exists())
    };
    (0..).map_while(file).map(|path| files::read_tensor(&path).map(|tensor| (path, tensor))).collect()
}

/// The folders of stored tensors: the `test_data_set_N` within, or else the folder itself.
pub fn data_sets(folder: &Path) -> Vec<PathBuf> {
    let sets = (0..).map(|index| folder.join(format!("test_data_set_{index}"))).take_while(|path| path.is_dir());
    let sets: Vec<PathBuf> = sets.collect();
    if sets.is_empty() { vec![folder.to_path_buf()] } else { sets }
}

/// Every case in a folder or below it, sorted: folders that hold `model.onnx` and at least one data set.
///
/// # Errors
/// [`Error::Io`] where a folder cannot be read, [`Error::Invalid`] where there is no case.
pub fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut cases, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        if folder.join("model.onnx").is_file() && folder.join("test_data_set_0").is_dir() {
            cases.push(folder);
            continue;
        }
        for entry in std::fs::read_dir(&folder).map_err(|error| Error::io(&folder, error))? {
            let entry = entry.map_err(|error| Error::io(&folder, error))?;
            // A link may lead back up: only folders themselves are entered.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
    }
    if cases.is_empty() {
        let reason = "no folder here or below holds model.onnx and test_data_set_0";
        return Err(Error::invalid(folder.display(), reason));
    }
    cases.sort();
    Ok(cases)
}

/// Makes a network ready with as many inputs open as the engine takes, and the others bound as weights, shapes and axes are
/// in a network: test cases have them as inputs of the graph. `attempt` is told for each input whether it stays open.
/// Of those that may (reals that have no default) first all do, then only the first, then none.
///
/// # Errors
/// Those of `attempt`, at once unless it is [`Error::Unsupported`]; where every attempt is, the last.
pub fn with_most_open<T>(may_be_open: &[bool], mut attempt: impl FnMut(&[bool]) -> Result<T>) -> Result<T> {
    let first = may_be_open.iter().position(|&may| may);
    let first_alone: Vec<bool> = (0..may_be_open.len()).map(|at| Some(at) == first).collect();
    let mut attempts = vec![may_be_open.to_vec(), first_alone, vec![false; may_be_open.len()]];
    attempts.dedup();
    let mut refused = Error::Internal("no attempt was made".to_string());
    for open in &attempts {
        match attempt(open) {
            Err(error @ Error::Unsupported { .. }) => refused = error,
            other => return other,
        }
    }
    Err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reluctor::error::UnsupportedNode;

    fn refusal() -> Error {
        let node = UnsupportedNode { node: "n".into(), op_type: "Op".into(), reason: "so".into() };
        Error::Unsupported { file: "f".into(), nodes: vec![node] }
    }

    #[test]
    fn inputs_are_bound_one_step_at_a_time_and_only_where_the_engine_refuses() {
        let may_be_open = [false, true, true, false];
        let mut seen = Vec::new();
        let result: Result<()> = with_most_open(&may_be_open, |open| {
            seen.push(open.to_vec());
            Err(refusal())
        });
        assert!(matches!(result, Err(Error::Unsupported { .. })));
        let open = |at: &[usize]| (0..4).map(|index| at.contains(&index)).collect::<Vec<bool>>();
        assert_eq!(seen, [open(&[1, 2]), open(&[1]), open(&[])]);
        assert_eq!(with_most_open(&may_be_open, |open| Ok(open.to_vec())).unwrap(), open(&[1, 2]));
    }

    #[test]
    fn other_errors_end_the_attempts_and_no_attempt_is_made_twice() {
        let mut attempts = 0;
        let mut count = |error: Error| {
            attempts += 1;
            Err::<(), Error>(error)
        };
        assert!(with_most_open(&[true; 2], |_| count(Error::invalid("x", "y"))).is_err());
        assert!(with_most_open(&[false], |_| count(refusal())).is_err());
        assert!(with_most_open(&[true], |_| count(refusal())).is_err());
        assert_eq!(attempts, 1 + 1 + 2);
    }
}
