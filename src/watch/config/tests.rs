use super::*;

/// What is told of a configuration with these lines in place of those of the example.
fn faults(change: impl Fn(&str) -> String) -> Vec<String> {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let path = secret.path().to_str().unwrap();
    let text = EXAMPLE.replace("/etc/streamgist/team.secret", path);
    Checked::parse(&change(&text)).err().unwrap_or_default()
}

fn line_of(text: &str) -> usize {
    EXAMPLE.lines().position(|line| line.contains(text)).unwrap() + 1
}

#[test]
fn the_example_is_right_and_says_what_holds() {
    assert_eq!(faults(str::to_owned), Vec::<String>::new());
    // With every line that is left out, too, but for those that exclude others or name files.
    let all = |text: &str| {
        let lines = text.lines().map(|line| match line.strip_prefix('#') {
            Some(rest)
                if !rest.starts_with(' ')
                    && !rest.contains("-file =")
                    && !rest.contains("model =")
                    && !rest.starts_with("outputs")
                    && !rest.starts_with("headers") =>
            {
                rest.to_owned()
            }
            _ => line.to_owned(),
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(faults(all), Vec::<String>::new());
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let told = faults(|text| text.replace("name = \"hall-1\"", "name = \"hall-1\"\nfsp = 3"));
    assert!(
        told[0].starts_with(&format!("{}: unknown field `fsp`", line_of("name = \"hall-1\"") + 1)),
        "{told:?}"
    );

    let told = faults(|text| text.replace("#digest-interval = \"30m\"", "digest-interval = \"soon\""));
    assert!(
        told[0].starts_with(&format!("{}: ", line_of("digest-interval"))) && told[0].contains("30m"),
        "{told:?}"
    );

    let told = faults(|text| {
        text.replace("https://example.com/hooks/streamgist", "http://user:secret@10.0.0.7/x")
            .replace("#endpoints = [\"team\"]", "endpoints = [\"toem\"]")
            .replace("rtsp://camera.local/stream", "missing.mp4")
    });
    let lines: Vec<_> =
        told.iter().map(|fault| fault.split(':').next().unwrap().parse::<usize>().unwrap()).collect();
    assert_eq!(lines, [line_of("source = "), line_of("endpoints ="), line_of("url = ")], "{told:?}");
    assert!(!told.iter().any(|fault| fault.contains("secret@")), "{told:?}");
    assert!(told[1].contains("toem"), "{told:?}");
}

#[test]
fn private_addresses_need_the_operators_word() {
    let private =
        |text: &str| text.replace("https://example.com/hooks/streamgist", "http://192.168.1.5:5678/hook");
    assert!(faults(private)[0].contains("192.168.1.5"));
    let allowed = |text: &str| private(text).replace("#allow-networks", "allow-networks");
    assert_eq!(faults(allowed), Vec::<String>::new());
}
