//! The definitions in the chart are those that the types make.

use std::{fs, path::Path};

use claviger_config::crd;

#[test]
fn the_chart_has_the_definitions_that_the_types_make() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/claviger/files/crds");
    let accept = std::env::var_os("CLAVIGER_ACCEPT").is_some();
    for (name, made) in crd::files() {
        let path = folder.join(&name);
        if accept {
            fs::write(&path, &made).unwrap();
        }
        let stands = fs::read_to_string(&path).unwrap_or_default();
        assert!(stands == made, "{name} differs: look at `clavigerd crds`, then accept it with CLAVIGER_ACCEPT=1");
    }
    let known: Vec<String> = crd::files().into_iter().map(|(name, _)| name).collect();
    for file in fs::read_dir(&folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(!name.ends_with(".yaml") || known.contains(&name), "{name} is of no kind");
    }
}
