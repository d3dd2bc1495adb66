//! What the chat template tells about the model. Templates are programs, and are not run: prompts of the family are
//! written by its own rules.

use std::path::Path;

use serde_json::Value;

use crate::config::json;
use crate::error::LoadError;

/// The chat template of a folder, from whichever file has it.
///
/// # Errors
/// For files that are too large or damaged.
pub(super) fn read(folder: &Path) -> Result<Option<String>, LoadError> {
    if let Some(text) = json::template(&folder.join("chat_template.jinja"))? {
        return Ok(Some(text));
    }
    for file in ["chat_template.json", "tokenizer_config.json"] {
        let Some(map) = json::config(&folder.join(file))? else { continue };
        match map.get("chat_template") {
            Some(Value::String(text)) => return Ok(Some(text.clone())),
            // Several by name; the first is the default.
            Some(Value::Array(list)) => {
                let text = list.first().and_then(|item| item.get("template")?.as_str());
                return Ok(text.map(str::to_owned));
            }
            _ => (),
        }
    }
    Ok(None)
}

/// Whether an answer begins inside of `<think>`. Templates of models whose thinking can be switched off hold an empty
/// pair of tags there instead.
pub(super) fn opens_with_thinking(template: &str) -> bool {
    let Some((_, prompt)) = template.rsplit_once("add_generation_prompt") else { return false };
    prompt.rsplit_once("<think>").is_some_and(|(_, rest)| !rest.contains("</think>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinking_models_are_told_from_those_that_answer_at_once() {
        let thinking =
            "{{ '<think>' }}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}";
        let instruct =
            "{{ '<think>' }}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}";
        let hybrid = "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- if enable_thinking is \
                      false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}";
        assert!(opens_with_thinking(thinking));
        assert!(!opens_with_thinking(instruct));
        assert!(!opens_with_thinking(hybrid));
        assert!(!opens_with_thinking("<think>"));
        assert!(!opens_with_thinking(""));
    }
}
