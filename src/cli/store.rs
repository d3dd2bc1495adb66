//! The store of `streamgist watch`, as the commands beside it name and read it.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use gist_store::{Error, Store};

use super::exit::Class;
use crate::watch::config;

/// Which store.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct StoreArgs {
    /// The configuration of `streamgist watch`, which names the store
    #[arg(value_name = "CONFIG.toml")]
    config: Option<PathBuf>,
    /// The store itself, instead of the configuration
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

impl StoreArgs {
    /// To read, while `watch` runs or not.
    pub(super) fn read(&self) -> anyhow::Result<Store> {
        Ok(Store::open_read(self.path()?)?)
    }

    /// To change something in it, while `watch` runs or not.
    pub(super) fn change(&self) -> anyhow::Result<Store> {
        Ok(Store::open_beside(self.path()?)?)
    }

    fn path(&self) -> anyhow::Result<PathBuf> {
        match (&self.store, &self.config) {
            (Some(store), _) => Ok(store.clone()),
            (None, Some(config)) => config::store(config),
            (None, None) => Err(Class::Usage.failure("give CONFIG.toml, or --store FILE")),
        }
    }
}

/// The one id that begins with `prefix`; `find` gives those that do, `what` they are and `lists` is what shows them.
pub(super) fn unique(
    find: impl FnOnce(&str, usize) -> Result<Vec<String>, Error>,
    prefix: &str,
    [what, lists]: [&str; 2],
) -> anyhow::Result<String> {
    let found = find(prefix, 2)?;
    // In order, so one that is the beginning of another comes first.
    match &found[..] {
        [one] => Ok(one.clone()),
        [whole, _] if whole == prefix => Ok(whole.clone()),
        [one, other] => {
            let why = format!("more than one {what} begins with {prefix:?}: {one}, {other}; give more of it");
            Err(Class::Usage.failure(why))
        }
        _ => Err(Class::Input.failure(format!("the store has no {what} {prefix:?}: {lists} shows them"))),
    }
}

/// A moment: how long ago, or a time of day in UTC.
pub(super) fn moment(text: &str) -> Result<SystemTime, String> {
    let ago = humantime::parse_duration(text).ok().and_then(|age| SystemTime::now().checked_sub(age));
    let date = || humantime::parse_rfc3339_weak(text).or_else(|_| midnight(text)).ok();
    ago.or_else(date).ok_or_else(|| "write 2h or 3d (ago), 2026-11-28 or 2026-11-28T16:30:00 (UTC)".into())
}

fn midnight(day: &str) -> Result<SystemTime, humantime::TimestampError> {
    humantime::parse_rfc3339_weak(&format!("{day}T00:00:00"))
}

/// A moment as people and programs read it.
pub(super) fn shown(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_an_age_a_day_or_a_time() {
        let at = |text| moment(text).map(shown);
        assert_eq!(at("2026-11-28").as_deref(), Ok("2026-11-28T00:00:00Z"));
        assert_eq!(at("2026-11-28 16:30:00").as_deref(), Ok("2026-11-28T16:30:00Z"));
        assert_eq!(at("2026-11-28T16:30:00Z").as_deref(), Ok("2026-11-28T16:30:00Z"));
        assert!(moment("2h").is_ok_and(|time| time < SystemTime::now()));
        assert!(at("soon").is_err() && at("99999999999999y").is_err());
    }
}
