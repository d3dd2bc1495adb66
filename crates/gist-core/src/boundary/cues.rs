//! Discourse cues: the words with which speakers mark that they go on to something else.

/// What the wording of one line suggests, each 0 or 1 unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cues {
    /// Phrases that announce a topic (`let's talk about`, 接下来), 0, 1 or 2.
    pub(super) shift: f32,
    /// Begins with a word that opens a new turn of thought (`okay`, `so`, 好).
    pub(super) opener: f32,
    /// Begins in the middle of a thought (`and`, `because`, 但是).
    pub(super) continues: f32,
    /// Asks something.
    pub(super) question: f32,
    /// Ends as one ends a topic (`thank you`, `that's it`).
    pub(super) closing: f32,
}

/// Wherever they stand: a caption line often begins with the end of the last sentence.
#[rustfmt::skip]
const SHIFT: &[&str] = &[
    " a little bit about ", " a question about ", " another thing ", " back to ", " before we ",
    " brings me to ", " brings us to ", " can you explain ", " can you tell ", " could you ", " describe ",
    " finally ", " get into ", " going to talk ", " how about ", " how does ", " i want to talk ",
    " i wanted to ", " in conclusion ", " in this part ", " in this section ", " is there ", " jump into ",
    " last but not least ", " leads me to ", " leads us to ", " let me show ", " let me talk ", " let us ",
    " let's ", " like to talk ", " mentioned ", " move on ", " moving on ", " my next ", " next part ",
    " next question ", " next section ", " next thing ", " next topic ", " next up ", " on to ", " one more ",
    " so how ", " so what is ", " so what's ", " some other ", " speaking of ", " switch ", " talk about ",
    " talked about ", " tell me ", " tell us ", " the last ", " thoughts on ", " to conclude ", " to sum up ",
    " to summarise ", " to summarize ", " to wrap up ", " topic ", " turn to ", " turning to ",
    " walk through ", " we talked ", " welcome ", " what about ", " what are the ", " what is ", " what's the ",
    " when it comes to ", " with that ", " you mentioned ",
];
const SHIFT_HAN: &[&str] = &[
    "接下来",
    "下面",
    "下一个",
    "下一步",
    "下一部分",
    "最后",
    "首先",
    "其次",
    "第一",
    "第二",
    "第三",
    "第四",
    "另外",
    "另一个",
    "再来看",
    "我们来看",
    "来看一下",
    "现在我们",
    "现在来",
    "总结",
    "总的来说",
    "综上",
    "谈谈",
    "讲讲",
    "说到",
    "回到",
    "开始讲",
    "进入",
    "那么什么是",
    "什么是",
];
const OPENERS: &[&str] = &[
    "okay",
    "ok",
    "so",
    "right",
    "alright",
    "all right",
    "now",
    "well",
    "yeah",
    "cool",
    "great",
    "perfect",
    "next",
    "first",
    "second",
    "third",
    "finally",
    "lastly",
];
const OPENERS_HAN: &[&str] = &["好", "那么", "那我们", "现在", "接着", "然后我们", "所以", "嗯好"];
const CONTINUES: &[&str] = &[
    "and", "but", "because", "or", "then", "which", "that", "it", "it's", "they", "if", "also", "not",
    "like", "to",
];
const CONTINUES_HAN: &[&str] =
    &["但是", "因为", "而且", "并且", "或者", "也就是", "它", "这样", "不过", "同时"];
const CLOSING: &[&str] = &[
    " thank you ",
    " thanks ",
    " that's it ",
    " thank you very much ",
    " that's all ",
    " cool ",
    " great ",
    " awesome ",
    " okay ",
    " perfect ",
    " makes sense ",
    " all right ",
    " alright ",
    " good question ",
];
const CLOSING_HAN: &[&str] = &["谢谢", "就到这里", "讲完", "就这些", "说完", "介绍完"];

impl Cues {
    /// Reads the cues of a line.
    pub(super) fn of(text: &str) -> Self {
        let text: String = text.chars().take(400).collect();
        let words = plain(&text);
        let start = text.trim_start_matches(|c: char| !c.is_alphanumeric());
        let begins = |list: &[&str], han: &[&str]| {
            list.iter().any(|w| {
                words.strip_prefix(' ').and_then(|rest| rest.strip_prefix(w)).is_some_and(starts_blank)
            }) || han.iter().any(|w| start.starts_with(w))
        };
        let holds = |list: &[&str], han: &[&str]| {
            list.iter().filter(|w| words.contains(*w)).count()
                + han.iter().filter(|w| text.contains(*w)).count()
        };
        let flag = |yes: bool| if yes { 1.0 } else { 0.0 };
        let ending = words.len().saturating_sub(40);
        let ending = (ending..=words.len()).find_map(|i| words.get(i..)).unwrap_or_default();
        Self {
            shift: holds(SHIFT, SHIFT_HAN).min(2) as f32,
            opener: flag(begins(OPENERS, OPENERS_HAN)),
            continues: flag(begins(CONTINUES, CONTINUES_HAN)),
            question: flag(text.contains(['?', '？'])),
            closing: flag(
                CLOSING.iter().any(|w| ending.contains(w)) || CLOSING_HAN.iter().any(|w| text.contains(w)),
            ),
        }
    }
}

fn starts_blank(rest: &str) -> bool {
    rest.starts_with(' ')
}

/// Lower-cased words between single blanks, with a blank at both ends.
fn plain(text: &str) -> String {
    let mut out = String::from(" ");
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            '’' => out.push('\''),
            c if c.is_alphanumeric() || c == '\'' => out.push(c),
            _ if !out.ends_with(' ') => out.push(' '),
            _ => {}
        }
    }
    if !out.ends_with(' ') {
        out.push(' ');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announced_topic_is_a_shift_in_english_and_chinese() {
        assert!(Cues::of("Okay, so let's talk about the mempool.").shift >= 1.0);
        assert!(Cues::of("接下来我们看一下内存池。").shift >= 1.0);
        assert_eq!(Cues::of("The mempool holds transactions.").shift, 0.0);
    }

    #[test]
    fn the_first_word_tells_an_opening_from_a_continuation() {
        assert_eq!((Cues::of("Okay. Fees.").opener, Cues::of("Okay. Fees.").continues), (1.0, 0.0));
        assert_eq!((Cues::of("and fees").opener, Cues::of("and fees").continues), (0.0, 1.0));
        assert_eq!(Cues::of("Sophie runs a node.").opener, 0.0, "only the whole word `so` opens");
        assert_eq!(Cues::of("好，我们继续").opener, 1.0);
        assert_eq!(Cues::of("但是手续费").continues, 1.0);
    }

    #[test]
    fn thanks_close_only_at_the_end() {
        assert_eq!(Cues::of("That is how it works. Thank you.").closing, 1.0);
        let long =
            "Thank you for asking, the way it works is that every node keeps its own list of transactions.";
        assert_eq!(Cues::of(long).closing, 0.0);
    }
}
