//! What an error message of a pipeline means to the user: one sentence, and the class of the failure.

use gst::glib;
use gst::prelude::*;

use super::Job;
use super::input::{Input, redact};
use crate::cli::exit::Class;

/// What GStreamer found it has no plugin for, such as `H.265 decoder`.
pub(crate) fn missing(message: &gst::message::Element) -> Option<String> {
    let details = message.structure().filter(|s| s.name() == "missing-plugin")?;
    details.get("name").ok()
}

/// The failure of an input in which there is not one picture and no sound. `missing` is what was found missing.
pub(super) fn nothing_in_it(missing: Option<&str>, job: &Job) -> anyhow::Error {
    let name = job.input.name();
    match missing {
        Some(what) => unplayable(&name, what),
        None => Class::Input.failure(format!("there is not one picture and no sound in {name}")),
    }
}

fn unplayable(name: &str, missing: &str) -> anyhow::Error {
    Class::Pipeline
        .failure(format!("{name} can't be played: no plugin here for {missing} (see `streamgist doctor`)"))
}

/// Puts an error message into words. `missing` is what was found missing before: the error that follows from it only says
/// that something is not linked.
pub(crate) fn explain(message: &gst::message::Error, missing: Option<&str>, job: &Job) -> anyhow::Error {
    let (error, added) = (message.error(), message.debug());
    let element = message.src().map(factory).unwrap_or_default();
    let name = job.input.name();
    let told = |text: &str| without_secrets(text, &job.input);
    tracing::debug!("{element}: {error} ({})", told(added.as_deref().unwrap_or_default()));
    let own = told(&detail(&error, added.as_deref()));
    if let Some(what) = missing.filter(|_| !element.starts_with("gist") && element != "subparse") {
        return unplayable(&name, what);
    }
    let source = message.src().is_some_and(|src| {
        src.downcast_ref::<gst::Element>()
            .is_some_and(|e| e.element_flags().contains(gst::ElementFlags::SOURCE))
    });
    let (class, text) = match element.as_str() {
        "gistchaptersink" => (Class::Output, own),
        "gistsummarizer" | "gisttranscriber" => (blame(&error), own),
        "subparse" => (Class::Input, format!("the transcript can't be read: {own}")),
        _ if error.matches(gst::CoreError::MissingPlugin)
            || error.matches(gst::StreamError::CodecNotFound) =>
        {
            (
                Class::Pipeline,
                format!("{name} can't be played: {own} (`streamgist doctor` tells what to install)"),
            )
        }
        // A source knows nothing of formats: what it could not go on with is the address or the connection.
        _ if source && own.starts_with("streaming stopped") => {
            (Class::Input, format!("{name} can't be read: there is no such address, or it gives nothing"))
        }
        _ if error.kind::<gst::StreamError>().is_some() => {
            (Class::Input, format!("{name} is not a video, audio or transcript that can be read: {own}"))
        }
        _ if error.kind::<gst::ResourceError>().is_some() => {
            (Class::Input, format!("{name} can't be opened: {own}"))
        }
        _ => (Class::Pipeline, format!("{name}: {own} ({element})")),
    };
    class.failure(text)
}

/// The class of an error of our own elements that have a model.
fn blame(error: &glib::Error) -> Class {
    if error.matches(gst::ResourceError::NotFound) || error.matches(gst::ResourceError::OpenRead) {
        Class::Model
    } else if error.matches(gst::LibraryError::Settings) {
        Class::Usage
    } else {
        Class::Pipeline
    }
}

/// What an element says may hold the address as the user gave it, however odd; and parts of others.
fn without_secrets(text: &str, input: &Input) -> String {
    match input {
        Input::Media { uri, name } => redact(&text.replace(uri.as_str(), name)),
        Input::Transcript(_) => redact(text),
    }
}

/// Puts a warning into words.
pub(crate) fn warning(message: &gst::message::Warning, job: &Job) -> String {
    let own = detail(&message.error(), message.debug().as_deref());
    format!("Warning: {}", without_secrets(&own, &job.input))
}

/// The words of an error. GStreamer's stock message says little; what its author added stands in the last lines of the
/// debug text, behind the place in the source and the path of the element.
fn detail(error: &glib::Error, debug: Option<&str>) -> String {
    let stock = error.message().trim().trim_end_matches('.');
    let added = debug.and_then(|d| d.split_once(":\n")).map(|(_, added)| added.trim().trim_end_matches('.'));
    match added {
        Some(added) if !added.is_empty() && !added.contains('\n') && added.len() < 400 => {
            if stock.is_empty() || is_stock(stock) { added.to_owned() } else { format!("{stock} ({added})") }
        }
        _ => stock.to_owned(),
    }
}

/// GStreamer's own words for an error nobody put into words.
fn is_stock(message: &str) -> bool {
    message.starts_with("Could not ") && message.ends_with("resource")
        || message.starts_with("GStreamer encountered a general")
        || message.starts_with("Internal GStreamer error")
        || message.starts_with("Internal data stream error")
        || message.starts_with("Resource not found")
        || message.starts_with("There is no codec present")
        || message.starts_with("This appears to be")
}

fn factory(object: &gst::Object) -> String {
    let element = object.downcast_ref::<gst::Element>();
    element.and_then(ElementExt::factory).map_or_else(String::new, |factory| factory.name().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_author_of_an_error_added_wins_over_stock_words() {
        let debug = |text: &str| format!("imp.rs(12): start (): /GstPipeline:p/GstGistSummarizer:s:\n{text}");
        let stock = glib::Error::new(gst::ResourceError::NotFound, "Resource not found.");
        let added = debug("model x is not on this machine: run `streamgist model pull x`");
        assert_eq!(
            detail(&stock, Some(&added)),
            "model x is not on this machine: run `streamgist model pull x`"
        );
        let own = glib::Error::new(gst::ResourceError::OpenWrite, "Could not open 'x' for writing: no.");
        assert_eq!(detail(&own, Some(&debug(""))), "Could not open 'x' for writing: no");
        assert_eq!(detail(&own, None), "Could not open 'x' for writing: no");
    }

    #[test]
    fn a_broken_model_is_told_from_a_broken_worker() {
        let crash = "it has crashed; this is a bug, please report it";
        for (error, class) in [
            (glib::Error::new(gst::ResourceError::NotFound, "not pulled"), Class::Model),
            (glib::Error::new(gst::ResourceError::OpenRead, "truncated"), Class::Model),
            (glib::Error::new(gst::LibraryError::Settings, "no such language"), Class::Usage),
            (glib::Error::new(gst::LibraryError::Failed, crash), Class::Pipeline),
            (glib::Error::new(gst::StreamError::Failed, "not computed"), Class::Pipeline),
        ] {
            assert_eq!(blame(&error), class, "{error}");
        }
    }
}
