//! `docs/contract.md` lists the properties that the elements have, no more and no fewer, and when each may change.

use std::collections::BTreeMap;

use gst::glib::{ParamFlags, ParamSpec};
use gst::prelude::*;

const CONTRACT: &str = include_str!("../../../../docs/contract.md");

/// Name and "when" of each row of the table under ``## Properties of `element` ``, up to the next table.
fn documented(element: &str) -> BTreeMap<String, String> {
    let heading = format!("## Properties of `{element}`\n");
    let section = CONTRACT.split(&heading).nth(1).unwrap_or_else(|| panic!("no section on {element}"));
    let rows =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        Some((cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?.to_owned(), (*cells.get(2)?).to_owned()))
    };
    rows.filter_map(row).collect()
}

fn when(spec: &ParamSpec) -> &'static str {
    let flags = spec.flags();
    if !flags.contains(ParamFlags::WRITABLE) {
        "read"
    } else if flags.contains(gst::PARAM_FLAG_MUTABLE_PLAYING) {
        "PLAYING"
    } else {
        "READY"
    }
}

#[test]
fn the_contract_lists_the_properties_and_when_they_may_change() {
    super::init();
    for name in ["gistsummarizer", "gisttranscriber", "gistchaptersink", "gistwebhooksink"] {
        let factory = gst::ElementFactory::find(name).expect("the element");
        let element = factory.create().build().expect("the element");
        let own = element.list_properties();
        let own = own.iter().filter(|spec| spec.owner_type() == element.type_());
        let own: BTreeMap<_, _> = own.map(|spec| (spec.name().to_owned(), when(spec).to_owned())).collect();
        let documented = documented(name);
        let documented: BTreeMap<_, _> = documented
            .into_iter()
            .map(|(name, when)| (name, when.split(',').next().unwrap_or("").into()))
            .collect();
        assert_eq!(own, documented, "{name}");
    }
}
