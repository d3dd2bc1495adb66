mod fixtures;
mod oracle;
mod stored;
mod towers;
