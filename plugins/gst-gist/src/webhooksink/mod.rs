//! `gistwebhooksink`: chapters to a webhook.

mod delivery;
mod imp;
mod settings;
mod writer;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    /// Sends `gist-chapters-v1` to a webhook, as Standard Webhooks.
    pub struct WebhookSink(ObjectSubclass<imp::WebhookSink>)
        @extends gst_base::BaseSink, gst::Element, gst::Object;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "gistwebhooksink", gst::Rank::NONE, WebhookSink::static_type())
}
