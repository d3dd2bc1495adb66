//! `docs/contract.md` and its schema say what the code does.

use std::collections::BTreeSet;
use std::sync::Arc;

use gist_core::Config;
use gist_core::event::{ChapterEvent, Kind, Point, Reason, Subchapter};
use gist_core::mock::{Mock, Script};
use gist_core::model::ContextConfig;
use gist_core::observation::{Observation, Source};
use gist_core::session::{Identity, Session};
use gist_core::time::{SECOND, Span};
use serde_json::Value;

const CONTRACT: &str = include_str!("../../../docs/contract.md");
const SCHEMA: &str = include_str!("../../../docs/gist-chapters-v1.schema.json");

fn schema() -> Value {
    serde_json::from_str(SCHEMA).expect("the schema is JSON")
}

fn names(list: &Value) -> BTreeSet<String> {
    let list = list.as_array().expect("a list");
    list.iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}

fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().expect("an object").keys().cloned().collect()
}

/// An event with a value in every field.
fn full() -> ChapterEvent {
    let text = || "text".to_owned();
    ChapterEvent {
        stream: text(),
        session: text(),
        title: text(),
        summary: text(),
        points: vec![Point { text: text(), start: 0.0, end: 1.0 }],
        points_dropped: 1,
        keywords: vec![text()],
        conclusion: text(),
        subchapters: vec![Subchapter { title: text(), start: 0.0, end: 1.0 }],
        timestamp: Some(1),
        stream_time: Some(1),
        duration: Some(1),
        end_running_time: Some(1),
        end: Some(1.0),
        wallclock_start: Some(text()),
        wallclock_end: Some(text()),
        wallclock_source: Some(text()),
        decided_at: Some(1),
        lag: Some(1),
        reason: Some(Reason::Model),
        partial: true,
        error: Some(text()),
        model: text(),
        language: text(),
        period_start: Some(1),
        period_end: Some(1),
        is_final: true,
        text: text(),
        ..ChapterEvent::new(Kind::Closed, "id", 0, 0)
    }
}

fn json(value: impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("plain data")
}

/// What the schema demands of an event beyond the types of its fields.
fn check(schema: &Value, event: &Value) {
    let has = keys(event);
    assert!(has.is_superset(&names(&schema["required"])), "{event}");
    assert!(has.is_subset(&keys(&schema["properties"])), "{event}");
    for rule in schema["allOf"].as_array().expect("rules") {
        let condition = keys(&rule["if"]["properties"]);
        let holds = condition.iter().all(|field| {
            let wanted = &rule["if"]["properties"][field];
            let one_of = wanted["enum"].as_array().is_some_and(|values| values.contains(&event[field]));
            one_of || wanted.get("const") == Some(&event[field])
        });
        assert!(!holds || has.is_superset(&names(&rule["then"]["required"])), "{event}\nbreaks {rule}");
    }
}

#[test]
fn schema_and_code_have_the_same_fields() {
    let schema = schema();
    let (full, least) = (json(full()), json(ChapterEvent::new(Kind::Opened, "id", 0, 0)));
    assert_eq!(keys(&full), keys(&schema["properties"]));
    assert_eq!(keys(&least), names(&schema["required"]));
    let (coverage, defs) = (&schema["properties"]["coverage"], &schema["$defs"]);
    assert_eq!(keys(&full["coverage"]), keys(&coverage["properties"]));
    assert_eq!(keys(&full["points"][0]), keys(&defs["point"]["properties"]));
    assert_eq!(keys(&full["subchapters"][0]), keys(&defs["subchapter"]["properties"]));
    assert_eq!(full["schema"], schema["properties"]["schema"]["const"]);
}

#[test]
fn schema_and_code_have_the_same_types_and_reasons() {
    let schema = schema();
    let kinds = [Kind::Opened, Kind::Updated, Kind::Closed, Kind::Revised, Kind::Digest];
    assert_eq!(json(kinds), schema["properties"]["type"]["enum"]);
    let reasons = [
        Reason::Model,
        Reason::Slide,
        Reason::Caption,
        Reason::MaxDuration,
        Reason::Gap,
        Reason::Caps,
        Reason::Segment,
        Reason::Eos,
        Reason::Manual,
    ];
    assert_eq!(json(reasons), schema["properties"]["reason"]["enum"]);
}

#[test]
fn the_page_names_every_field_and_its_examples_are_events() {
    for field in keys(&schema()["properties"]) {
        assert!(CONTRACT.contains(&format!("`{field}`")), "{field} is not on the page");
    }
    let examples: Vec<_> =
        CONTRACT.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 2);
    for example in examples {
        let event: ChapterEvent = serde_json::from_str(example).expect("an event");
        check(&schema(), &json(event));
    }
}

#[test]
fn a_session_emits_what_the_schema_demands() {
    for fail in [None, Some("out of memory".to_owned())] {
        let model = Arc::new(Mock::new(Script { fail, ..Script::default() }));
        let identity = Identity { stream: "hall".into(), session: "0123456789".into(), first_index: 0 };
        let context = ContextConfig { context_length: 4_096, memory_length: 512, ..ContextConfig::default() };
        let mut session = Session::new(model, identity, Config::default(), context).expect("a session");
        for (n, text) in (0..4).zip(["one", "two", "three", "four"]) {
            let span = Span::new(n * 10 * SECOND, (n * 10 + 5) * SECOND);
            let line = Observation { source: Source::Speech, span, text: text.into(), turn: false };
            session.observe(line).expect("taken");
        }
        session.split_now(25 * SECOND, None);
        session.finish(40 * SECOND);
        while session.work(40 * SECOND) {}
        let events: Vec<_> = session.events().collect();
        for kind in [Kind::Opened, Kind::Closed, Kind::Digest] {
            assert!(events.iter().any(|event| event.kind == kind), "{kind:?}");
        }
        let schema = schema();
        events.iter().for_each(|event| check(&schema, &json(event)));
    }
}
