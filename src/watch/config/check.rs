//! What TOML alone can't tell: names that are taken, addresses that may not be reached, files that are not there.

use std::collections::HashSet;
use std::ops::Range;

use gist_core::export::Format;
use gist_webhook::dispatcher::MAX_CONCURRENCY;
use gist_webhook::guard::networks;
use gist_webhook::{Endpoint, EventFilter, Guard, Secret, Target};

use super::{Checked, Config, EndpointTable, Receiver, Stream, values};
use crate::cli::chapters::by_name;
use crate::run::input::Input;

/// The number of the line that holds byte `at`.
pub(super) fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// Collects what is wrong, so that one look at the file mends it all.
struct Faults<'a> {
    text: &'a str,
    found: Vec<(usize, String)>,
}

impl Faults<'_> {
    /// What is wrong as `LINE: what`, in the order of the lines.
    fn told(mut self) -> Vec<String> {
        self.found.sort();
        self.found.into_iter().map(|(line, why)| format!("{line}: {why}")).collect()
    }

    fn add(&mut self, span: Range<usize>, why: impl ToString) {
        self.found.push((line(self.text, span.start), why.to_string()));
    }
}

/// Checks a configuration.
///
/// # Errors
/// All that is wrong, as `LINE: what`, in the order of the lines.
pub(super) fn check(text: &str, config: Config) -> Result<Checked, Vec<String>> {
    let mut faults = Faults { text, found: Vec::new() };
    let metrics = config.metrics.get_ref().parse();
    if metrics.is_err() {
        faults.add(config.metrics.span(), "metrics is no address: write 127.0.0.1:9464");
    }
    if config.streams.is_empty() {
        faults.add(0..0, "there is nothing to watch: add a [[stream]]");
    }
    let mut names = HashSet::new();
    for stream in &config.streams {
        check_stream(stream, &config, &mut faults);
        if !names.insert(stream.name.get_ref()) {
            faults.add(stream.name.span(), "another stream has this name");
        }
    }
    let receivers = check_receivers(&config, &mut faults);
    match (metrics, faults.found.is_empty()) {
        (Ok(metrics), true) => Ok(Checked { config, metrics, receivers }),
        _ => Err(faults.told()),
    }
}

/// Checks what belongs to the receivers alone.
///
/// # Errors
/// As [`check`].
pub(super) fn receivers(text: &str, config: &Config) -> Result<Vec<Receiver>, Vec<String>> {
    let mut faults = Faults { text, found: Vec::new() };
    let receivers = check_receivers(config, &mut faults);
    if faults.found.is_empty() { Ok(receivers) } else { Err(faults.told()) }
}

fn check_receivers(config: &Config, faults: &mut Faults<'_>) -> Vec<Receiver> {
    let mut allowed = Vec::new();
    for network in &config.allow_networks {
        match networks(network.get_ref()) {
            Ok(networks) => allowed.extend(networks),
            Err(error) => faults.add(network.span(), error),
        }
    }
    let guard = Guard::new(allowed);
    let mut names = HashSet::new();
    let mut receivers = Vec::new();
    for table in &config.endpoints {
        receivers.extend(receiver(table, &guard, faults));
        if !names.insert(table.name.get_ref()) {
            faults.add(table.name.span(), "another endpoint has this name");
        }
    }
    receivers
}

fn check_stream(stream: &Stream, config: &Config, faults: &mut Faults<'_>) {
    let name = stream.name.get_ref();
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(plain) {
        faults.add(stream.name.span(), "the name of a stream is made of letters, digits, -, _ and .");
    }
    let span = stream.source.as_ref().map(toml::Spanned::span);
    let span = span.or(stream.source_file.as_ref().map(toml::Spanned::span)).unwrap_or(stream.name.span());
    if stream.source.is_some() && stream.source_file.is_some() {
        faults.add(span.clone(), "source or source-file, not both");
    }
    match stream.source().map(|source| Input::new(&source)) {
        Ok(Ok(Input::Media { .. })) => {}
        Ok(Ok(Input::Transcript(_))) => {
            faults.add(span, "a transcript is no stream: `streamgist chapters` takes it");
        }
        Ok(Err(error)) => faults.add(span, error),
        Err(why) => faults.add(span, why),
    }
    let real = stream.backend.is_none();
    let speech = stream.speech_model.as_ref().filter(|_| stream.speech);
    for model in stream.model.iter().chain(speech).filter(|_| real) {
        if let Err(error) = gist_models::locate(model.get_ref()) {
            faults.add(model.span(), error);
        }
    }
    for output in &stream.outputs {
        let path = output.get_ref();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if by_name(path).is_none() {
            let known = Format::ALL.map(|format| format.nick()).join(", ");
            faults.add(
                output.span(),
                format!("its name tells no format of {known}: end it in .vtt, .jsonl, .md …"),
            );
        } else if folder.is_some_and(|folder| !folder.is_dir()) {
            faults.add(output.span(), "there is no such folder");
        }
    }
    for endpoint in stream.endpoints.iter().flatten() {
        if !config.endpoints.iter().any(|known| known.name.get_ref() == endpoint.get_ref()) {
            faults.add(endpoint.span(), format!("there is no endpoint {:?}", endpoint.get_ref()));
        }
    }
}

fn receiver(table: &EndpointTable, guard: &Guard, faults: &mut Faults<'_>) -> Option<Receiver> {
    let before = faults.found.len();
    let span = table.url.as_ref().map(toml::Spanned::span);
    let span = span.or(table.url_file.as_ref().map(toml::Spanned::span)).unwrap_or(table.name.span());
    let url = match (&table.url, &table.url_file) {
        (Some(url), None) => Ok(url.get_ref().clone()),
        (None, Some(file)) => values::line_of(file.get_ref()),
        _ => Err("an endpoint needs a url, or a url-file that holds it, and not both".into()),
    };
    let url = url.and_then(|url| guard.webhook(&url).map_err(|error| error.to_string()));
    let url = url.map_err(|why| faults.add(span, why)).ok();
    let mut secrets = Vec::new();
    for file in &table.secret_files {
        match Secret::from_file(file.get_ref()) {
            Ok(secret) => secrets.push(secret),
            Err(error) => faults.add(file.span(), error),
        }
    }
    for event in &table.events {
        if let Err(error) = event.get_ref().parse::<EventFilter>() {
            faults.add(event.span(), error);
        }
    }
    if !(1..=MAX_CONCURRENCY).contains(table.concurrency.get_ref()) {
        faults.add(table.concurrency.span(), format!("concurrency is 1 to {MAX_CONCURRENCY}"));
    }
    let mut target = Target::new(url?, secrets);
    for (name, value) in &table.headers {
        target = target.with_header(name, value.get_ref()).map_err(|e| faults.add(value.span(), e)).ok()?;
    }
    let events: Vec<_> = table.events.iter().map(|event| event.get_ref().as_str()).collect();
    let events = events.join(",").parse().ok()?;
    let endpoint = Endpoint {
        guard: guard.clone(),
        timeout: table.timeout.0,
        concurrency: *table.concurrency.get_ref(),
        strict_order: table.strict_order,
        per_minute: table.per_minute,
        ..Endpoint::new(table.name.get_ref(), target)
    };
    (faults.found.len() == before).then_some(Receiver { endpoint, events })
}
