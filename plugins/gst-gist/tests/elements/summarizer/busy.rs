//! What `stats` tells of the time.

use super::*;

#[test]
fn every_stage_that_was_used_has_taken_time_and_together_they_are_the_whole() {
    let begin = std::time::Instant::now();
    let mut rig = Rig::new("delay-ms=2,steps=2");
    rig.frame(0).unwrap();
    // Before there are words that the worker is behind with, for which it would skip the picture.
    until("it is looked at", || rig.stat("frames-looked-at") == 1);
    rig.say(S, 3 * S, "blocks are fetched in parallel");
    rig.say(40 * S, 43 * S, "and then they are checked");
    rig.frame(45 * S).unwrap();
    rig.end();
    rig.element.emit_by_name::<()>("ask", &[&"What is fetched?"]);
    rig.wait("gist-answer", None);
    let stats = rig.element.property::<gst::Structure>("stats");
    let passed = begin.elapsed().as_nanos() as u64;
    let time = |name: &str| stats.get::<u64>(name).unwrap();
    for used in
        ["busy-ocr", "busy-encode", "busy-probe", "busy-chapter", "busy-digest", "busy-question", "sampling"]
    {
        assert!(time(used) > 0, "{used}: {stats}");
    }
    // Two lines of two milliseconds each, three steps of a text: a delay is at least what was asked for.
    assert!(time("busy-encode") >= 4_000_000 && time("busy-question") >= 6_000_000, "{stats}");
    assert_eq!(
        (time("busy-vision"), time("busy-memory")),
        (0, 0),
        "it does not see, and forgets nothing: {stats}"
    );
    let stages = stats.iter().filter(|(name, _)| name.starts_with("busy-"));
    let sum: u64 = stages.map(|(_, time)| time.get::<u64>().unwrap()).sum();
    assert_eq!(sum, time("busy"), "{stats}");
    assert!(sum + 1_000_000 * time("model-load-ms") <= passed, "{stats}");
}
