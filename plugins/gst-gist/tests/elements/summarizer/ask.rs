//! Questions to a stream that plays, and to one that has ended.

use super::*;

#[test]
fn a_question_is_answered_with_times_while_the_stream_plays_and_after_its_end() {
    let mut rig = Rig::new("");
    rig.frame(0).unwrap();
    rig.say(S, 3 * S, "blocks are fetched in parallel");
    rig.frame(4 * S).unwrap();
    until("both are encoded", || rig.stat("tokens-appended") > 0);
    rig.element.emit_by_name::<()>("ask", &[&"What is fetched?"]);
    let answer = rig.wait("gist-answer", None);
    assert_eq!(answer.get::<&str>("question"), Ok("What is fetched?"));
    assert!(answer.get::<&str>("text").unwrap().ends_with(" [00:00:01]"), "{answer:?}");
    let statements: serde_json::Value = serde_json::from_str(answer.get("statements").unwrap()).unwrap();
    assert_eq!(statements[0]["sources"][0], serde_json::json!({"start": 1.0, "end": 3.0}));

    rig.say(6 * S, 8 * S, "and then they are checked");
    rig.end();
    rig.element.emit_by_name::<()>("ask-about", &[&"And then?", &(5 * S), &(9 * S)]);
    let answer = rig.wait("gist-answer", None);
    assert!(answer.get::<&str>("text").unwrap().ends_with(" [00:00:06]"), "{answer:?}");
    rig.element.emit_by_name::<()>("ask-about", &[&"Much later?", &(500 * S), &(900 * S)]);
    let answer = rig.wait("gist-answer", None);
    assert!(answer.get::<&str>("error").unwrap().contains("nothing of that time"), "{answer:?}");
}

#[test]
fn who_asks_before_the_start_gets_no_crash() {
    let rig = Rig::new("");
    rig.element.emit_by_name::<()>("ask", &[&"Is anybody there?"]);
    let answer = rig.wait("gist-answer", None);
    assert!(answer.get::<&str>("error").is_ok(), "{answer:?}");
    let idle = gst::ElementFactory::make("gistsummarizer").build().unwrap();
    idle.emit_by_name::<()>("ask", &[&"Is anybody there?"]);
}
