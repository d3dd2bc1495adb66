//! What an application may have the element do while it plays.

use std::sync::LazyLock;

use gist_core::time::Span;
use gst::glib;
use gst::glib::subclass::Signal;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::imp::GistSummarizer;
use super::intake::Command;

impl GistSummarizer {
    /// Has the worker ask about the stream so far, or a part of it in stream-time.
    fn ask(&self, question: String, part: Option<Span>) {
        match self.run() {
            Some(run) => run.intake.command(Command::Ask(question, part)),
            None => {
                let details = gst::Structure::builder("gist-answer")
                    .field("question", question)
                    .field("error", "there is no stream to ask about: the element is not started")
                    .build();
                let message = gst::message::Element::builder(details).src(&*self.obj()).build();
                let _ = self.obj().post_message(message);
            }
        }
    }
}

/// Passes a command to the worker, if there is one. `args` are those of a signal, the element first.
fn command(args: &[glib::Value], command: Command) -> Option<glib::Value> {
    let element = args[0].get::<super::GistSummarizer>().ok()?;
    element.imp().run()?.intake.command(command);
    None
}

/// Its action signals.
pub(super) static SIGNALS: LazyLock<Vec<Signal>> = LazyLock::new(|| {
    vec![
        Signal::builder("split-now")
            .param_types([Option::<String>::static_type()])
            .action()
            .class_handler(|args| {
                let title = args[1].get::<Option<String>>().ok().flatten();
                command(args, Command::Split(title.filter(|title| !title.trim().is_empty())))
            })
            .build(),
        Signal::builder("ask")
            .param_types([String::static_type()])
            .action()
            .class_handler(|args| {
                let element = args[0].get::<super::GistSummarizer>().ok()?;
                element.imp().ask(args[1].get().ok()?, None);
                None
            })
            .build(),
        Signal::builder("ask-about")
            .param_types([String::static_type(), u64::static_type(), u64::static_type()])
            .action()
            .class_handler(|args| {
                let element = args[0].get::<super::GistSummarizer>().ok()?;
                let part = Span::new(args[2].get().ok()?, args[3].get().ok()?);
                element.imp().ask(args[1].get().ok()?, Some(part));
                None
            })
            .build(),
        Signal::builder("save-context")
            .param_types([String::static_type()])
            .action()
            .class_handler(|args| {
                let path: String = args[1].get().ok()?;
                command(args, Command::Save(path.into()))
            })
            .build(),
        Signal::builder("reset-context").action().class_handler(|args| command(args, Command::Reset)).build(),
    ]
});
