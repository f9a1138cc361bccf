//! What the README says of the code is what the code says. `RELUCTOR_UPDATE=1 cargo test readme` rewrites it.

use reluctor::onnx::{Family, operators};
use std::path::Path;

const FAMILIES: [(Family, &str); 11] = [
    (Family::Convolution, "convolution (1-D to 3-D)"),
    (Family::Pooling, "pooling"),
    (Family::Activation, "activation"),
    (Family::Normalization, "normalization"),
    (Family::Product, "matrix product"),
    (Family::Arithmetic, "arithmetic, with broadcasting"),
    (Family::Reduction, "reductions"),
    (Family::Logic, "comparisons, truth values"),
    (Family::Layout, "moving elements"),
    (Family::Shape, "renaming: no dispatch"),
    (Family::Host, "computed when shapes are bound"),
];

fn table() -> String {
    let mut rows = String::from("| | ONNX operators |\n|---|---|\n");
    for (family, title) in FAMILIES {
        let names: Vec<&str> = operators().filter(|(_, of)| *of == family).map(|(name, _)| name).collect();
        rows.push_str(&format!("| {title} | {} |\n", names.join(", ")));
    }
    rows
}

#[test]
fn the_operator_table_is_the_importers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once("<!-- operators -->\n").expect("a mark before the table");
    let (written, after) = rest.split_once("<!-- end of operators -->").expect("a mark after the table");
    if std::env::var_os("RELUCTOR_UPDATE").is_some() {
        let text = format!("{before}<!-- operators -->\n{}<!-- end of operators -->{after}", table());
        std::fs::write(path, text).unwrap();
    } else {
        assert_eq!(written, table(), "run RELUCTOR_UPDATE=1 cargo test --release readme");
    }
}

#[test]
fn every_operator_belongs_to_a_row_of_the_table() {
    assert!(operators().all(|(_, family)| FAMILIES.iter().any(|(known, _)| *known == family)));
}
