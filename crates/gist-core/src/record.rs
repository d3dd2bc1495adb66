//! What is left of a run: its events, and what was observed, as JSON lines. A session goes on from it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{ChapterEvent, Kind, SCHEMA};
use crate::observation::Observation;

/// The value of the `schema` field of a line that holds an observation.
const OBSERVATION: &str = "gist-observation-v1";

/// Events and observations, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// What was emitted.
    pub events: Vec<ChapterEvent>,
    /// What was said, noted and read off the picture.
    pub observations: Vec<Observation>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    schema: String,
    #[serde(flatten)]
    observation: Observation,
}

impl Record {
    /// Reads lines. Those of another schema or type are left out, as readers of the contract do, and so is a last line
    /// that a crash cut off.
    ///
    /// # Errors
    /// Names the line that cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut record = Self::default();
        for (number, line) in (1..).zip(text.split_inclusive('\n')) {
            let whole = line.ends_with('\n');
            match serde_json::from_str(line.trim()) {
                _ if line.trim().is_empty() => {}
                Ok(value) => record.take(value).map_err(|why| format!("line {number}: {why}"))?,
                Err(_) if !whole => {}
                Err(error) => return Err(format!("line {number}: {error}")),
            }
        }
        Ok(record)
    }

    fn take(&mut self, line: Value) -> Result<(), serde_json::Error> {
        match line["schema"].as_str() {
            Some(SCHEMA) if serde_json::from_value::<Kind>(line["type"].clone()).is_ok() => {
                self.events.push(serde_json::from_value(line)?);
            }
            Some(OBSERVATION) => self.observations.push(serde_json::from_value::<Line>(line)?.observation),
            _ => {}
        }
        Ok(())
    }

    /// The line of an observation, without the newline.
    pub fn line(observation: &Observation) -> String {
        let line = Line { schema: OBSERVATION.to_owned(), observation: observation.clone() };
        serde_json::to_string(&line).expect("plain data serialises")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Source;
    use crate::time::Span;

    #[test]
    fn lines_of_others_and_a_last_one_cut_off_are_left_out() {
        let event = ChapterEvent::new(Kind::Closed, "a", 3, 7);
        let said =
            Observation { source: Source::Speech, span: Span::new(1, 2), text: "a\nb".into(), turn: false };
        let (line, spoken) = (event.to_json(), Record::line(&said));
        let later = line.replace("closed", "merged");
        let text =
            format!("{line}\n\n{spoken}\n{later}\n{{}}\n{}\n{}", line.replace("v1", "v2"), &line[..40]);
        let expected = Record { events: vec![event], observations: vec![said] };
        assert_eq!(Record::parse(&text).unwrap(), expected);
        assert!(Record::parse("{}\nno\n").unwrap_err().starts_with("line 2"));
        assert!(
            Record::parse(&line.replace("\"index\":3", "\"index\":-3")).unwrap_err().starts_with("line 1")
        );
    }
}
