//! What code writes into a digest besides the model's own words, in the languages that are common.

/// The words of one language.
#[derive(Debug, PartialEq, Eq)]
pub struct Labels {
    /// Heads the assessment of the whole, with its full stop.
    pub assessment: &'static str,
    /// Heads the suggestions for further study.
    pub study: &'static str,
    /// Heads what a period came to.
    pub results: &'static str,
    /// Heads what was left open.
    pub questions: &'static str,
    /// Of a chapter that has not ended.
    pub going_on: &'static str,
    /// Of a period in which nothing came to be summed up.
    pub nothing: &'static str,
    /// Before the times at which nothing came in.
    pub no_signal: &'static str,
}

const fn labels(words: [&'static str; 7]) -> Labels {
    let [assessment, study, results, questions, going_on, nothing, no_signal] = words;
    Labels { assessment, study, results, questions, going_on, nothing, no_signal }
}

const ENGLISH: Labels = labels([
    "Assessment.",
    "Further study",
    "Results",
    "Open questions",
    "still going on",
    "Nothing was said or shown.",
    "No signal:",
]);

const TRADITIONAL_CHINESE: Labels =
    labels(["總體評價。", "延伸學習", "結果", "未決問題", "仍在進行", "沒有講話,也沒有新畫面。", "無訊號:"]);

const OTHERS: &[(&str, Labels)] = &[
    (
        "Chinese",
        labels([
            "总体评价。",
            "进一步学习",
            "结果",
            "待解决的问题",
            "仍在进行",
            "没有讲话,也没有新画面。",
            "无信号:",
        ]),
    ),
    (
        "French",
        labels([
            "Bilan.",
            "Pour aller plus loin",
            "Résultats",
            "Questions ouvertes",
            "en cours",
            "Rien n’a été dit ni montré.",
            "Pas de signal :",
        ]),
    ),
    (
        "German",
        labels([
            "Bewertung.",
            "Zum Weiterlernen",
            "Ergebnisse",
            "Offene Fragen",
            "noch im Gange",
            "Es wurde nichts gesagt oder gezeigt.",
            "Kein Signal:",
        ]),
    ),
    (
        "Italian",
        labels([
            "Valutazione.",
            "Per approfondire",
            "Risultati",
            "Questioni aperte",
            "in corso",
            "Nulla è stato detto o mostrato.",
            "Nessun segnale:",
        ]),
    ),
    (
        "Japanese",
        labels([
            "総合評価。",
            "さらに学ぶために",
            "結果",
            "残された問い",
            "進行中",
            "発言も新しい画面もありませんでした。",
            "信号なし:",
        ]),
    ),
    (
        "Korean",
        labels([
            "총평.",
            "더 공부하려면",
            "결과",
            "남은 질문",
            "진행 중",
            "말한 것도 보여 준 것도 없습니다.",
            "신호 없음:",
        ]),
    ),
    (
        "Portuguese",
        labels([
            "Avaliação.",
            "Para aprofundar",
            "Resultados",
            "Questões em aberto",
            "em curso",
            "Nada foi dito nem mostrado.",
            "Sem sinal:",
        ]),
    ),
    (
        "Russian",
        labels([
            "Общая оценка.",
            "Для дальнейшего изучения",
            "Результаты",
            "Открытые вопросы",
            "продолжается",
            "Ничего не было сказано или показано.",
            "Нет сигнала:",
        ]),
    ),
    (
        "Spanish",
        labels([
            "Valoración.",
            "Para profundizar",
            "Resultados",
            "Preguntas abiertas",
            "en curso",
            "No se dijo ni se mostró nada.",
            "Sin señal:",
        ]),
    ),
];

impl Labels {
    /// Those of a language, which is named in English as everywhere: `Chinese`, `Brazilian Portuguese`. English where it
    /// is none of these.
    pub fn of(language: &str) -> &'static Self {
        if ["traditional", "chinese"].iter().all(|word| names(language, word)) {
            return &TRADITIONAL_CHINESE;
        }
        OTHERS.iter().find(|(name, _)| names(language, name)).map_or(&ENGLISH, |(_, labels)| labels)
    }
}

/// Whether `word` stands in the name of a language.
fn names(language: &str, word: &str) -> bool {
    language.split(|c: char| !c.is_alphabetic()).any(|part| part.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_labelled_in_its_own_language() {
        assert_eq!(Labels::of("Chinese").study, "进一步学习");
        assert_eq!(Labels::of("Traditional Chinese").assessment, "總體評價。");
        assert_eq!(Labels::of("Brazilian portuguese").assessment, "Avaliação.");
        for language in ["English", "Klingon", ""] {
            assert_eq!(Labels::of(language), &ENGLISH, "{language}");
        }
        // What the language of a talk is detected as is found in the table.
        use whatlang::Lang::{Deu, Fra, Ita, Jpn, Kor, Por, Rus, Spa};
        for lang in [Deu, Fra, Ita, Jpn, Kor, Por, Rus, Spa] {
            assert_ne!(Labels::of(lang.eng_name()), &ENGLISH, "{lang}");
        }
    }
}
