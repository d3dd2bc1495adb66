//! What an error message of a pipeline means to the user: one sentence, and the class of the failure.

use gst::glib;
use gst::prelude::*;

use super::Job;
use super::input::redact;
use crate::cli::exit::Class;

/// What GStreamer found it has no plugin for, such as `H.265 decoder`.
pub(super) fn missing(message: &gst::message::Element) -> Option<String> {
    let details = message.structure().filter(|s| s.name() == "missing-plugin")?;
    details.get("name").ok()
}

/// Puts an error message into words. `missing` is what was found missing before: the error that follows from it only says
/// that something is not linked.
pub(super) fn explain(message: &gst::message::Error, missing: Option<&str>, job: &Job) -> anyhow::Error {
    let (error, added) = (message.error(), message.debug());
    tracing::debug!("{}: {error} ({added:?})", message.src().map_or("?".into(), |src| src.path_string()));
    let element = message.src().map(factory).unwrap_or_default();
    let name = job.input.name();
    let own = detail(&error, added.as_deref());
    let missing = missing.filter(|_| !element.starts_with("gist"));
    let (class, text) = match element.as_str() {
        "gistchaptersink" => (Class::Output, own),
        "gistsummarizer" | "gisttranscriber" => {
            let model =
                error.matches(gst::ResourceError::NotFound) || error.matches(gst::LibraryError::Failed);
            (if model { Class::Model } else { Class::Pipeline }, own)
        }
        "subparse" => (Class::Input, format!("the transcript can't be read: {own}")),
        _ if missing.is_some() => {
            let what = missing.unwrap_or_default();
            (
                Class::Pipeline,
                format!("{name} can't be played: no plugin here for {what} (see `streamgist doctor`)"),
            )
        }
        _ if error.matches(gst::CoreError::MissingPlugin)
            || error.matches(gst::StreamError::CodecNotFound) =>
        {
            (
                Class::Pipeline,
                format!("{name} can't be played: {own} (`streamgist doctor` tells what to install)"),
            )
        }
        _ if error.kind::<gst::StreamError>().is_some() => {
            (Class::Input, format!("{name} is not a video, audio or transcript that can be read: {own}"))
        }
        _ if error.kind::<gst::ResourceError>().is_some() => {
            (Class::Input, format!("{name} can't be opened: {own}"))
        }
        _ => (Class::Pipeline, format!("{name}: {own} ({element})")),
    };
    class.failure(redact(&text))
}

/// Puts a warning into words.
pub(super) fn warning(message: &gst::message::Warning) -> String {
    redact(&format!("Warning: {}", detail(&message.error(), message.debug().as_deref())))
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
}
