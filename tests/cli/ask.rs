//! `streamgist ask`, with the model of the tests: what is cited is what code knows, whatever a model says.

use super::{Desk, talk, text};

#[test]
fn an_answer_names_the_time_it_comes_from() {
    let desk = Desk::new();
    desk.file("talk.srt", talk());
    let ask = |args: &[&str]| {
        let mut all = vec!["ask", "talk.srt", "What about rivers?", "--backend", "mock"];
        all.extend(args);
        let output = desk.command(&all).output().expect("runs");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let whole = ask(&[]);
    assert!(whole.ends_with(" [00:00:00]\n") && whole.lines().count() == 1, "{whole}");
    let part = ask(&["--from", "2m", "--to", "3m"]);
    assert!(
        part.ends_with("Sentence 24 of a talk about [00:02:00]\n") || part.contains("[00:02:00]"),
        "{part}"
    );
    let json: serde_json::Value = serde_json::from_str(&ask(&["--from", "2m", "--json"])).expect("JSON");
    assert_eq!(json["question"], "What about rivers?");
    let source = &json["statements"][0]["sources"][0];
    assert!(source["end"].as_f64() > Some(120.0), "a chapter that began before goes on into it: {source}");
}

#[test]
fn what_cannot_be_answered_is_said() {
    let desk = Desk::new();
    desk.file("talk.srt", talk());
    let ask = |code, args: &[&str]| {
        let mut all = vec!["ask", "talk.srt"];
        all.extend(args);
        all.extend(["--backend", "mock"]);
        let output = desk.command(&all).output().expect("runs");
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "", "nothing that looks like an answer");
        text(&output.stderr)
    };
    assert!(ask(1, &["Later?", "--from", "2h"]).contains("nothing of that time"));
    assert!(ask(2, &["Later?", "--from", "2m", "--to", "1m"]).contains("before --to"));
    assert!(ask(2, &["  "]).contains("empty"));
}

#[test]
fn a_saved_context_is_gone_on_with() {
    let desk = Desk::new();
    desk.file("talk.srt", talk());
    let run = |args: &[&str]| {
        let output = desk.chapters(args);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    run(&["talk.srt", "--save-context", "talk.gistctx"]);
    let more = run(&["talk.srt", "--restore-context", "talk.gistctx", "--json", "-"]);
    let first: serde_json::Value =
        serde_json::from_str(more.lines().next().expect("an event")).expect("JSON");
    assert!(first["index"].as_u64().expect("a number") > 0, "chapters are counted on: {first}");
    assert!(
        desk.fails(2, &["talk.srt", "--save-context", "talk.srt"]).contains("is read"),
        "nothing is lost"
    );
    let said = desk.fails(3, &["talk.srt", "--restore-context", "gone.gistctx"]);
    assert!(said.contains("gone.gistctx"), "{said}");
}
