//! Instructions for kinds of streams, to begin with.

/// What the texts are to tell of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// Nothing but what every chapter tells.
    #[default]
    None,
    /// For people who study what was said.
    Study,
    /// The same, asked for and answered in Chinese.
    StudyZh,
    /// A lecture, a talk, a lesson.
    Lecture,
    /// News and other programmes.
    Broadcast,
    /// A meeting.
    Meeting,
    /// A camera that looks at a place.
    Camera,
}

impl Preset {
    /// All of them by name, in the order in which they are shown.
    pub const ALL: [(&'static str, Self); 7] = [
        ("none", Self::None),
        ("study", Self::Study),
        ("study-zh", Self::StudyZh),
        ("lecture", Self::Lecture),
        ("broadcast", Self::Broadcast),
        ("meeting", Self::Meeting),
        ("camera", Self::Camera),
    ];

    /// That of a name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, preset)| *preset)
    }

    /// The instructions; `None` for none.
    pub fn instructions(self) -> Option<&'static str> {
        Some(match self {
            Self::None => return None,
            Self::Study => {
                "The summary begins with a sentence that states the theme. The points give technical details: methods, \
                 parameters, numbers, names. An opinion is marked as one, with whose it is (\"In the speaker's view …\"); a \
                 fact stands plain. Where code or a diagram was shown, a point says what it shows. The assessment weighs \
                 what was shown against what was only claimed; the suggestions name what to study further."
            }
            Self::StudyZh => {
                "概要的第一句话点明主题。要点写出具体的技术细节：方法、参数、数字、名称。观点要注明是谁的观点（“讲者认为……”），\
                 事实则直接陈述。如果展示了代码或图表，用一个要点说明其内容。关键词用原文中的术语。总体评价要区分已经证明的内容和\
                 仅仅提出的主张，并给出进一步学习的建议。"
            }
            Self::Lecture => {
                "This is a lecture. Points are what a student would write down: definitions, claims and how they are shown, \
                 examples, formulas as they stand. The conclusion is what to remember. The suggestions are exercises or \
                 reading that follow from it."
            }
            Self::Broadcast => {
                "This is a broadcast. A chapter is an item of the programme: the title says what happened, points say who, \
                 what, where and when, and who is quoted. What somebody claims is told as their claim."
            }
            Self::Meeting => {
                "These are minutes of a meeting. Points are what was decided, who takes on what and until when, and what was \
                 left open; who said it only where it matters. The conclusion is the result of the item."
            }
            Self::Camera => {
                "This is a camera that looks at a place. Points are what changed and when it was seen; a place where nothing \
                 happens is described as it is. Nobody is named, nothing is guessed about people or reasons."
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::prompt::language_asked_for;

    #[test]
    fn every_preset_has_its_name_and_its_own_words() {
        for (name, preset) in Preset::ALL {
            assert_eq!(Preset::of(name), Some(preset));
            assert_eq!(preset.instructions().is_none(), preset == Preset::None);
        }
        assert_eq!(Preset::of("theatre"), None);
    }

    #[test]
    fn the_users_own_words_come_after_those_of_the_preset_and_decide_the_language() {
        let with = |preset, prompt: Option<&str>| Config {
            preset,
            prompt: prompt.map(Into::into),
            ..Config::default()
        };
        let language = |config: &Config| language_asked_for(&config.language, config.words_of_the_user());
        let both = with(Preset::Lecture, Some("请给出结论。"));
        assert!(
            both.instructions()
                .is_some_and(|all| all.starts_with("This is a lecture") && all.ends_with("请给出结论。"))
        );
        assert_eq!(language(&both).as_deref(), Some("Chinese"));
        assert_eq!(language(&with(Preset::StudyZh, None)).as_deref(), Some("Chinese"));
        assert_eq!(language(&with(Preset::Meeting, None)), None, "that of the talk");
        assert_eq!(with(Preset::None, None).instructions(), None);
    }
}
