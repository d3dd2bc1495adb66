use std::sync::Arc;

use crate::boundary::tests::{BREAD, SHIPS, talk};
use crate::event::Kind;
use crate::mock::{Mock, Script};
use crate::model::ContextConfig;
use crate::observation::{Observation, Source};
use crate::session::{Identity, Session, Task};
use crate::time::{SECOND, Span};
use crate::{ChapterEvent, Config};

/// The digest of a stream of these lines.
fn digest(config: Config, lines: &[&str]) -> ChapterEvent {
    let context = ContextConfig { context_length: 4_096, memory_length: 512, ..ContextConfig::default() };
    let model = Arc::new(Mock::new(Script::default()));
    let mut session = Session::new(model, Identity::default(), config, context).unwrap();
    for (i, line) in lines.iter().enumerate() {
        let span = Span::new(5 * i as u64 * SECOND, (5 * i as u64 + 4) * SECOND);
        let line = Observation { source: Source::Speech, span, text: (*line).into(), turn: false };
        session.observe(line).unwrap();
    }
    session.finish(5 * lines.len() as u64 * SECOND);
    while session.work(0) {}
    session.events().find(|event| event.kind == Kind::Digest).unwrap()
}

#[test]
fn the_digest_is_labelled_in_the_language_set() {
    let config = Config { language: "Spanish".into(), ..Config::default() };
    let digest = digest(config, &["Nodes find each other by asking seeds"]);
    assert!(digest.text.starts_with("**Valoración.** "), "{}", digest.text);
    assert!(digest.text.contains("\n**Para profundizar**\n\n1. "), "{}", digest.text);
}

/// The mock's summaries are some words of the first line, too few to tell a language by.
#[test]
fn the_digest_is_in_the_language_of_the_chapters() {
    let lines = [
        "Bitte OK",
        "Heute sprechen wir darüber, wie die Knoten eines Netzes einander finden und weshalb das schwierig ist.",
        "Ein Knoten, der gerade erst gestartet ist, kennt noch niemanden und fragt deshalb zuerst einen Saatknoten.",
    ];
    let digest = digest(Config::default(), &lines);
    assert_eq!(digest.language, "German");
    assert!(digest.text.starts_with("**Bewertung.** "), "{}", digest.text);
}

/// The second time only points are asked for: the answer is a third as long, and somebody waits for it.
#[test]
fn points_that_nobody_said_are_written_again_and_nothing_else() {
    let closed = |claim: Option<&str>| {
        let context = ContextConfig { context_length: 4_096, memory_length: 512, ..ContextConfig::default() };
        let script = Script { claim: claim.map(str::to_owned), ..Script::default() };
        let model = Arc::new(Mock::new(script));
        let mut session = Session::new(model, Identity::default(), Config::default(), context).unwrap();
        let text = "Nodes find each other by asking seeds".into();
        let span = Span::new(0, 4 * SECOND);
        session.observe(Observation { source: Source::Speech, span, text, turn: false }).unwrap();
        session.finish(5 * SECOND);
        while session.work(0) {}
        session.events().find(|event| event.kind == Kind::Closed).unwrap()
    };
    let (once, twice) = (closed(None), closed(Some("Cats like warm houses")));
    assert_eq!((&twice.title, &twice.summary), (&once.title, &once.summary), "the first text's");
    assert_eq!(twice.points, once.points, "and the points of the second");
    assert_eq!((once.points_dropped, twice.points_dropped), (0, 1));
    assert!(!twice.partial, "{:?}", twice.error);
    assert!(twice.tokens > once.tokens && twice.tokens < 2 * once.tokens, "{} {}", once.tokens, twice.tokens);
}

#[test]
fn who_calls_knows_what_each_step_is_for() {
    let context = ContextConfig { context_length: 4_096, memory_length: 512, ..ContextConfig::default() };
    let model = Arc::new(Mock::new(Script { steps: 2, ..Script::default() }));
    let mut session = Session::new(model, Identity::default(), Config::default(), context).unwrap();
    let span = Span::new(0, 4 * SECOND);
    let text = "Nodes find each other by asking seeds".into();
    session.observe(Observation { source: Source::Speech, span, text, turn: false }).unwrap();
    assert_eq!(session.task(), None);
    session.finish(5 * SECOND);
    session.ask("How?", None);
    let mut tasks = Vec::new();
    while let Some(task) = session.task() {
        assert!(session.work(0), "{task:?} is something to do");
        tasks.push(task);
    }
    assert!(!session.work(0));
    tasks.dedup();
    assert_eq!(tasks, [Task::Question, Task::Chapter, Task::Digest]);
}

/// The mock answers a translation with "Nothing", which is no Chinese.
#[test]
fn a_text_that_cannot_be_translated_goes_out_as_it_was_written() {
    let closed = |language: &str| {
        let context = ContextConfig { context_length: 4_096, memory_length: 512, ..ContextConfig::default() };
        let config = Config { language: language.into(), ..Config::default() };
        let model = Arc::new(Mock::new(Script::default()));
        let mut session = Session::new(model, Identity::default(), config, context).unwrap();
        let text =
            "Nodes of a network find each other by asking those that have been there for a long time".into();
        let span = Span::new(0, 9 * SECOND);
        session.observe(Observation { source: Source::Speech, span, text, turn: false }).unwrap();
        session.finish(10 * SECOND);
        while session.work(0) {}
        session.events().find(|event| event.kind == Kind::Closed).unwrap()
    };
    let (english, chinese) = (closed("auto"), closed("Chinese"));
    assert_eq!((&chinese.title, &chinese.points), (&english.title, &english.points));
    assert_eq!(chinese.language, "English", "which it is in");
    assert!(
        chinese.partial && chinese.error.as_deref().unwrap().contains("not in Chinese"),
        "{:?}",
        chinese.error
    );
    assert!(chinese.tokens > english.tokens, "it was tried");
    assert!(!english.partial);
}

#[test]
fn a_chapter_of_a_word_is_in_the_language_of_the_one_before() {
    let context = ContextConfig { context_length: 4_096, memory_length: 512, ..ContextConfig::default() };
    let model = Arc::new(Mock::new(Script::default()));
    let mut session = Session::new(model, Identity::default(), Config::default(), context).unwrap();
    let lines = [
        "Heute sprechen wir darüber, wie die Knoten eines Netzes einander finden und weshalb das schwierig ist.",
        "Tor 24.0",
    ];
    for (i, text) in (0..).zip(lines) {
        let span = Span::new(20 * i * SECOND, (20 * i + 9) * SECOND);
        session
            .observe(Observation { source: Source::Speech, span, text: text.into(), turn: false })
            .unwrap();
        session.split_now((20 * i + 10) * SECOND, None);
    }
    session.finish(40 * SECOND);
    while session.work(0) {}
    let closed: Vec<_> = session.events().filter(|event| event.kind == Kind::Closed).collect();
    assert_eq!((closed[0].language.as_str(), closed[1].language.as_str()), ("German", "German"));
}

/// A talk that goes from one topic to another, with as many steps of writing behind each line as `spare` says.
struct Played {
    closed: Vec<ChapterEvent>,
    /// Steps of work that a chapter took after it had ended.
    waited: Vec<usize>,
    ahead: usize,
}

fn play(spare: usize, disturb: impl Fn(usize, &mut Session)) -> Played {
    let context = ContextConfig { context_length: 4_096, memory_length: 512, ..ContextConfig::default() };
    let model = Arc::new(Mock::new(Script { steps: 3, ..Script::default() }));
    let mut session = Session::new(model, Identity::default(), Config::default(), context).unwrap();
    let mut played = Played { closed: Vec::new(), waited: Vec::new(), ahead: 0 };
    for (i, line) in talk(&[BREAD, SHIPS], 36).into_iter().enumerate() {
        let start = line.span.start;
        session.observe(line).unwrap();
        session.advance(start);
        finish(&mut session, &mut played);
        if spare > 0 {
            session.write_ahead();
            assert_eq!(session.pending(), 0, "nothing has ended");
            played.ahead += (0..spare).filter(|_| session.work(start)).count();
            assert!(session.events().all(|event| event.kind == Kind::Opened), "so nothing comes out");
        }
        disturb(i, &mut session);
    }
    session.finish(360 * SECOND);
    finish(&mut session, &mut played);
    played
}

/// Writes what is to come out.
fn finish(session: &mut Session, played: &mut Played) {
    while session.pending() > 0 {
        let steps = (1..).find(|_| {
            session.work(0);
            session.pending() == 0 || session.events.iter().any(|event| event.kind == Kind::Closed)
        });
        let closed: Vec<_> = session.events().filter(|event| event.kind == Kind::Closed).collect();
        if !closed.is_empty() {
            played.waited.extend(steps);
            played.closed.extend(closed);
        }
    }
}

#[test]
fn a_text_begun_before_its_chapter_has_ended_is_the_same_and_there_sooner() {
    let (late, ahead) = (play(0, |_, _| {}), play(20, |_, _| {}));
    assert_eq!(late.closed.len(), 2);
    let same = |event: &ChapterEvent| ChapterEvent { sequence: 0, ..event.clone() };
    assert!(late.closed.iter().map(same).eq(ahead.closed.iter().map(same)));
    assert!(late.waited[0] > 3, "{:?}", late.waited);
    assert_eq!(ahead.waited[0], 1, "all that is left to do is to hand it out");
    assert!(ahead.ahead > 0);
}

#[test]
fn what_else_is_asked_for_goes_before_a_text_whose_chapter_has_not_ended() {
    let late = play(0, |_, _| {});
    let expected = std::cell::Cell::new(false);
    let asked = play(1, |_, session| {
        if session.has_work() && !expected.replace(true) {
            session.ask("How?", None);
            session.work(0);
            assert_eq!(session.task(), Some(Task::Question), "somebody waits for it");
            while session.answers().next().is_none() {
                assert!(session.work(0));
            }
        }
    });
    assert!(expected.get(), "a text was begun ahead");
    assert_eq!(
        late.closed.iter().map(|e| &e.title).collect::<Vec<_>>(),
        asked.closed.iter().map(|e| &e.title).collect::<Vec<_>>()
    );
    let set = std::cell::Cell::new(false);
    let chinese = play(20, |_, session| {
        if session.writer.ahead.written.is_some() && !set.replace(true) {
            session.configure(Config { language: "Chinese".into(), ..Config::default() });
        }
    });
    let tried =
        |event: &ChapterEvent| event.error.as_deref().is_some_and(|why| why.contains("not in Chinese"));
    assert!(set.get() && chinese.closed.iter().all(tried), "the language set last is the one written in");
}
