//! Lead-ins that tell that something is told ("This chapter discusses …", "本章介绍了……") instead of telling it: they
//! are taken off. Small models write them whatever they are asked.

/// Who "discusses": what may stand before a verb of telling.
const SUBJECTS: &[&str] = &[
    "chapter",
    "section",
    "segment",
    "part",
    "passage",
    "episode",
    "video",
    "podcast",
    "talk",
    "stream",
    "transcript",
    "text",
    "conversation",
    "discussion",
    "dialogue",
    "lecture",
    "presentation",
    "interview",
    "speaker",
    "speakers",
    "host",
    "hosts",
    "guest",
    "guests",
    "presenter",
    "presenters",
    "author",
    "authors",
    "lecturer",
    "participants",
    "panelists",
    "lines",
    "summary",
    "speech",
];

/// Verbs of telling, in their third person. Not those that say whose opinion it is (`argues`, `suggests`): without them
/// it would stand as a fact.
const VERBS: &[&str] = &[
    "discusses",
    "provides",
    "covers",
    "explores",
    "explains",
    "describes",
    "introduces",
    "highlights",
    "examines",
    "outlines",
    "presents",
    "addresses",
    "emphasizes",
    "emphasises",
    "mentions",
    "details",
    "summarizes",
    "summarises",
    "delves into",
    "focuses on",
    "touches on",
    "touches upon",
    "talks about",
    "speaks about",
    "reflects on",
    "elaborates on",
    "deals with",
    "is about",
    "revolves around",
    "centers around",
    "centers on",
    "looks at",
    "goes over",
    "provides an overview of",
    "provides a comprehensive overview of",
    "gives an overview of",
    "offers an overview of",
    "provides insights into",
    "provides an explanation of",
    "begins with",
    "starts with",
    "concludes with",
    "concludes by discussing",
    "concludes by emphasizing",
    "concludes by highlighting",
    "concludes by stating",
    "concludes by summarizing",
    "concludes by explaining",
    "concludes by mentioning",
    "ends with",
    "continues with",
    "is a discussion of",
    "is a discussion about",
    "aims to explain",
    "sheds light on",
    "refers to",
    "begins by discussing",
    "starts by discussing",
    "shifts to",
    "turns to",
    "moves on to",
    "notes",
    "states",
    "says",
    "points out",
    "stresses",
    "discusses about",
    "illustrates",
    "discuss",
    "cover",
    "explore",
    "explain",
    "describe",
    "introduce",
    "highlight",
    "examine",
    "outline",
    "present",
    "address",
    "emphasize",
    "mention",
    "delve into",
    "focus on",
    "touch on",
    "talk about",
    "reflect on",
    "go over",
    "note",
    "state",
    "say",
    "point out",
    "stress",
    "are discussing",
    "is discussing",
    "are talking about",
    "is talking about",
    "discussed",
    "explained",
    "talked about",
    "mentioned",
];

const ADVERBS: &[&str] =
    &["also", "then", "further", "mainly", "primarily", "briefly", "first", "next", "now", "thus"];

const HAN_SUBJECTS: &[&str] = &[
    "本章节",
    "本章",
    "这一章节",
    "这一章",
    "本节",
    "这一节",
    "本段",
    "这段内容",
    "本集",
    "该章节",
    "该章",
    "讲者",
    "演讲者",
    "主讲人",
    "主持人",
    "发言者",
    "作者",
    "章节",
];
const HAN_ADVERBS: &[&str] =
    &["主要", "还", "首先", "接着", "详细", "进一步", "重点", "内容", "则", "也", "中"];
const HAN_VERBS: &[&str] = &[
    "讨论",
    "介绍",
    "探讨",
    "讲述",
    "解释",
    "说明",
    "阐述",
    "描述",
    "分析",
    "概述",
    "提到",
    "强调",
    "指出",
    "讲解",
    "谈到",
    "谈论",
    "回顾",
    "总结",
    "聚焦于",
    "关注",
    "涉及",
    "讲",
    "认为",
    "表示",
];

/// The text without lead-ins, sentence by sentence. A text that is nothing else stays as it is.
pub(crate) fn without_lead_ins(text: &str) -> String {
    let mut told = false;
    let mut out = String::with_capacity(text.len());
    for sentence in sentences(text) {
        let cut = cut(sentence, told);
        told |= cut.is_some();
        out += &cut.unwrap_or_else(|| sentence.to_owned());
    }
    out
}

/// The sentences of a text, each with the blanks behind it.
pub(crate) fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut from = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|&(_, next)| next);
        let ends = match c {
            '。' | '！' | '？' => true,
            '.' | '!' | '?' => next.is_none_or(char::is_whitespace) && !abbreviates(&text[from..at]),
            _ => false,
        };
        if ends {
            while chars.next_if(|(_, c)| c.is_whitespace() || "\"'”’）)".contains(*c)).is_some() {}
            let end = chars.peek().map_or(text.len(), |&(at, _)| at);
            found.push(&text[from..end]);
            from = end;
        }
    }
    if from < text.len() {
        found.push(&text[from..]);
    }
    found
}

/// Whether a full stop behind this is that of an abbreviation.
fn abbreviates(before: &str) -> bool {
    let word = before.rsplit(char::is_whitespace).next().unwrap_or("").trim_start_matches('(');
    ["e.g", "i.e", "etc", "vs", "Dr", "Mr", "Mrs", "Ms", "Prof", "St", "No"].contains(&word)
        || word.len() == 1 && word.chars().all(char::is_uppercase)
}

/// The sentence without its lead-in; `None` when it has none. Once one was `told`, "it also explains" is one too.
fn cut(sentence: &str, told: bool) -> Option<String> {
    let rest = english(sentence, told).or_else(|| han(sentence))?;
    let rest = rest.trim_start();
    // "… and explains how": a second lead-in in the same sentence.
    for verb in VERBS.iter().filter(|verb| verb.contains("s ") || verb.ends_with('s')) {
        for glue in [", and ", " and ", ", "] {
            let second = format!("{glue}{verb} ");
            if let Some((first, second)) = rest.split_once(&second)
                && first.split_whitespace().count() > 1
                && second.split_whitespace().count() > 1
            {
                let second = cut(&format!("It {verb} {second}"), true).unwrap_or_default();
                return Some(format!("{}. {second}", capital(first)));
            }
        }
    }
    (words(rest) > 1).then(|| capital(rest))
}

/// Words, or Han characters.
fn words(text: &str) -> usize {
    text.split_whitespace().count().max(text.chars().filter(|c| super::terms::is_han(*c)).count())
}

fn english(sentence: &str, told: bool) -> Option<&str> {
    let mut rest = sentence;
    // "In this chapter, the speaker explains …"
    if let Some(inside) = word(rest, "in") {
        let inside = article(inside)?;
        let inside = SUBJECTS.iter().find_map(|subject| word(inside, subject))?;
        rest = inside.trim_start_matches(',').trim_start();
    }
    let verb_of = |rest| {
        let mut rest = rest;
        while let Some(next) = ADVERBS.iter().find_map(|adverb| word(rest, adverb)) {
            rest = next;
        }
        // The longest first: "discusses about".
        VERBS.iter().filter_map(|verb| word(rest, verb)).min_by_key(|rest| rest.len())
    };
    let subject = article(rest).and_then(|rest| SUBJECTS.iter().find_map(|subject| word(rest, subject)));
    let pronoun = || ["it", "they", "we", "he", "she"].iter().find_map(|subject| word(rest, subject));
    let rest = match subject {
        Some(rest) => verb_of(rest)?,
        None if told || rest.len() < sentence.len() => verb_of(pronoun()?)?,
        None => return None,
    };
    Some(word(rest, "that").or_else(|| word(rest, "the fact that")).unwrap_or(rest))
}

fn article(rest: &str) -> Option<&str> {
    ["the", "this", "these", "our"].iter().find_map(|article| word(rest, article))
}

/// What follows a word, whatever its case, and the blanks behind it.
fn word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let text = text.trim_start();
    let rest = text.get(word.len()..)?;
    if !text[..word.len()].eq_ignore_ascii_case(word) {
        return None;
    }
    let ends = rest.chars().next().is_none_or(|c| !c.is_alphanumeric() && c != '\'' && c != '’');
    ends.then(|| rest.trim_start())
}

fn han(sentence: &str) -> Option<&str> {
    let rest = sentence.trim_start().trim_start_matches('在');
    let mut rest = HAN_SUBJECTS.iter().find_map(|subject| rest.strip_prefix(subject))?;
    rest = rest.trim_start_matches(['中', '里', '，', ',']);
    rest = HAN_SUBJECTS.iter().find_map(|subject| rest.strip_prefix(subject)).unwrap_or(rest);
    let adverb = |rest: &str| HAN_ADVERBS.iter().find(|adverb| rest.starts_with(**adverb)).map(|a| a.len());
    while let Some(length) = adverb(rest) {
        rest = &rest[length..];
    }
    let mut rest = HAN_VERBS.iter().find_map(|verb| rest.strip_prefix(verb))?;
    // 介绍和讨论了
    while let Some(second) = ["和", "并", "与", "、"].iter().find_map(|glue| rest.strip_prefix(glue)) {
        let Some(next) = HAN_VERBS.iter().find_map(|verb| second.strip_prefix(verb)) else { break };
        rest = next;
    }
    let rest = rest.strip_prefix('了').unwrap_or(rest);
    Some(rest.trim_start_matches(['，', ',', '：', ':']))
}

/// The text with a capital at its beginning.
pub(crate) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return String::new() };
    // Not of a name that begins with a small letter on purpose (iOS, dbcache_size).
    let rest = chars.as_str();
    let word = rest.split(char::is_whitespace).next().unwrap_or("");
    if word.chars().any(|c| c.is_uppercase() || c.is_ascii_digit() || c == '_') {
        return text.to_owned();
    }
    first.to_uppercase().chain(rest.chars()).collect()
}

/// The title without what only says that there will be something of it: "Introduction to", "的介绍".
pub(crate) fn bare_title(title: &str) -> &str {
    const BEFORE: &[&str] = &[
        "an introduction to",
        "the introduction to",
        "introduction to",
        "introduction of",
        "introducing",
        "an overview of",
        "overview of",
        "understanding",
        "exploring",
        "discussion on",
        "discussion of",
        "discussing",
        "exploration of",
        "explanation of",
        "explaining",
        "a discussion on",
        "a discussion of",
        "summary of",
        "the",
    ];
    const HAN_BEFORE: &[&str] = &["介绍", "关于", "探讨", "讨论", "浅谈", "理解", "概述"];
    const HAN_BEHIND: &[&str] = &["的介绍", "的讨论", "的探讨", "的概述", "介绍", "概述", "简介"];
    let title = without_label(title.trim().trim_end_matches(['.', '。', ':', '：']));
    if let Some(rest) = BEFORE.iter().find_map(|before| word(title, before))
        && rest.split_whitespace().count() > 1
    {
        return rest;
    }
    let enough = |rest: &&str| rest.chars().count() >= 4;
    let title =
        HAN_BEFORE.iter().find_map(|before| title.strip_prefix(before)).filter(enough).unwrap_or(title);
    HAN_BEHIND.iter().find_map(|behind| title.strip_suffix(behind)).filter(enough).unwrap_or(title)
}

/// The title without what only says that it is one (`Chapter Title: …`).
fn without_label(title: &str) -> &str {
    const LABELS: [&str; 8] =
        ["chapter", "title", "summary", "section", "stream", "recap", "标题", "章节标题"];
    let is_label = |word: &str| LABELS.iter().any(|label| label.eq_ignore_ascii_case(word));
    match title.split_once([':', '：']) {
        Some((label, rest)) if label.split_whitespace().all(is_label) && !rest.trim().is_empty() => {
            rest.trim()
        }
        _ => title,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_stands_for_itself() {
        for (text, expected) in [
            ("This chapter discusses the UTXO set and its history.", "The UTXO set and its history."),
            ("The chapter concludes by emphasizing the need for smaller sets.", "The need for smaller sets."),
            ("The chapter also explains how nodes find peers.", "How nodes find peers."),
            ("The speaker emphasizes that fees rise in a busy week.", "Fees rise in a busy week."),
            (
                "In this section, the hosts talk about rising fees. It also covers new wallets.",
                "Rising fees. New wallets.",
            ),
            ("In this chapter, we explore how coins are proved.", "How coins are proved."),
            (
                "The chapter provides a comprehensive overview of the UTXO set, explaining its structure.",
                "The UTXO set, explaining its structure.",
            ),
            (
                "The speaker introduces the idea of Utreexo and explains how it proves a coin.",
                "The idea of Utreexo. How it proves a coin.",
            ),
            ("本章讨论了UTXO集的历史。", "UTXO集的历史。"),
            ("在本章中,主持人主要介绍了节点如何找到彼此。还不错。", "节点如何找到彼此。还不错。"),
        ] {
            assert_eq!(without_lead_ins(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_lead_in_stays() {
        for same in [
            "New nodes ask seeds for addresses.",
            "It covers the costs.",
            "The speaker was late.",
            "The chapter.",
            "This section of the disk holds the database.",
            "The guest argues that fees will rise.",
            "The host explains.",
            "章节是书的一部分。",
            "",
        ] {
            assert_eq!(without_lead_ins(same), same);
        }
    }

    #[test]
    fn a_title_names_the_topic() {
        for (title, expected) in [
            ("Introduction to Bitcoin Core", "Bitcoin Core"),
            ("Understanding the UTXO set", "the UTXO set"),
            ("Introduction to Bitcoin", "Introduction to Bitcoin"),
            ("共识算法的介绍", "共识算法"),
            ("介绍共识算法", "共识算法"),
            ("How nodes find peers.", "How nodes find peers"),
            ("Chapter Title: E-Cash and FediMints", "E-Cash and FediMints"),
            ("章节标题：共识算法", "共识算法"),
            ("Chapter Lightning: A Recap", "Chapter Lightning: A Recap"),
        ] {
            assert_eq!(bare_title(title), expected);
        }
    }

    #[test]
    fn sentences_end_where_they_do() {
        let text = "In v0.15, e.g. by J. Doe, it changed. Then? 是的。好";
        assert_eq!(sentences(text), ["In v0.15, e.g. by J. Doe, it changed. ", "Then? ", "是的。", "好"]);
        assert_eq!(sentences(text).concat(), text);
    }
}
