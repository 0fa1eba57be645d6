//! Words that were masked, and what the model put in their places.
//!
//! How tokens become text only the plugin knows. The text of one token is what it adds to the text of all tokens before it, so blanks
//! and parts of words come out as the plugin writes them.

use maud::{Markup, html};
use medcoss_core::pretext::{Guess, GuessedTokens};

use super::samples::StageSamples;
use crate::numbers::percent;
use medcoss_plugin_host::{Rendered, Tokens};

/// A stretch of text with a guess in it, or without.
#[derive(Debug, Clone, PartialEq)]
struct Piece {
    /// What the token adds to the text.
    text: String,
    /// What the guess would have added, and its probability.
    guess: Option<(String, f32)>,
    right: bool,
}

pub(crate) fn draw(samples: &StageSamples, guessed: &GuessedTokens, id: &str) -> Result<Markup, String> {
    let Some(padding) = samples.source.padding_id() else { return Err("words are shown by their plugin alone".into()) };
    let mut render = |ids: &[i32]| match samples.source.render(Tokens::Discrete(ids)) {
        Ok(Some(Rendered::Text(text))) => Ok(text),
        Ok(_) => Err("its plugin renders no text".to_string()),
        Err(error) => Err(error.to_string()),
    };
    let pieces = pieces(guessed, padding, &mut render)?;
    let n_right = pieces.iter().filter(|piece| piece.right).count();
    let n_guessed = guessed.guesses.len();
    Ok(html! {
        div.sample {
            p.told {
                code { (id) } " " (n_right) " of " (n_guessed) " words right"
                @if n_guessed > 0 { " (" (percent(n_right as f64 / n_guessed as f64)) ")" }
            }
            p.words { @for piece in &pieces { (draw_piece(piece)) } }
        }
    })
}

/// How guesses are drawn.
pub(crate) fn key() -> Markup {
    html! {
        p.key { ins { "right" } " " span.wrong { del { "wrong guess" } b { "what stood there" } } " Point at a word for its probability." }
    }
}

fn draw_piece(piece: &Piece) -> Markup {
    let word = piece.text.trim_start();
    let blank = &piece.text[..piece.text.len() - word.len()];
    html! {
        (blank)
        @match &piece.guess {
            None => (word),
            Some((guess, probability)) => {
                @let told = format!("guess \u{201c}{}\u{201d}, {}", guess.trim(), percent(f64::from(*probability)));
                @if piece.right {
                    ins title=(told) { (word) }
                } @else {
                    @let guess = if guess.trim().is_empty() { "\u{2205}" } else { guess.trim() };
                    span.wrong title=(told) { del { (guess) } b { (if word.is_empty() { "\u{2205}" } else { word }) } }
                }
            },
        }
    }
}

fn pieces(
    guessed: &GuessedTokens,
    padding: i32,
    render: &mut dyn FnMut(&[i32]) -> Result<String, String>,
) -> Result<Vec<Piece>, String> {
    let mut ids = vec![padding; guessed.original.len()];
    let mut before = String::new();
    let mut pieces = Vec::new();
    for position in 0..guessed.length.min(ids.len()) {
        let own = guessed.original[position];
        let guess = guessed.guesses.iter().find(|guess| guess.position == position);
        let instead = match guess {
            Some(&Guess { id, probability, .. }) => {
                ids[position] = id;
                Some((added(&before, &render(&ids)?), probability))
            }
            None => None,
        };
        ids[position] = own;
        let text = render(&ids)?;
        let right = guess.is_some_and(|guess| guess.id == own);
        pieces.push(Piece { text: added(&before, &text), guess: instead, right });
        before = text;
    }
    Ok(pieces)
}

/// What a text has beyond its beginning in common with another.
fn added(before: &str, text: &str) -> String {
    let common: usize = before
        .chars()
        .zip(text.chars())
        .take_while(|(one, other)| one == other)
        .map(|(letter, _)| letter.len_utf8())
        .sum();
    text[common..].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tokeniser of five tokens: padding, begin, words, and an ending that is part of the word before.
    fn render(ids: &[i32]) -> Result<String, String> {
        let mut text = String::new();
        for id in ids {
            match id {
                0 | 1 => {}
                4 => text.push_str("ed"),
                id => {
                    let word = ["", "", "lung", "heal"][*id as usize];
                    text.push_str(if text.is_empty() { "" } else { " " });
                    text.push_str(word);
                }
            }
        }
        Ok(text)
    }

    #[test]
    fn every_token_has_the_text_that_it_adds_and_guesses_stand_in_its_place() {
        let guess = |position, id| Guess { position, id, probability: 0.5 };
        let guessed =
            GuessedTokens { original: vec![1, 2, 3, 4, 0, 0], length: 4, guesses: vec![guess(2, 2), guess(3, 4)] };
        let pieces = pieces(&guessed, 0, &mut render).unwrap();
        let texts: Vec<&str> = pieces.iter().map(|piece| piece.text.as_str()).collect();
        assert_eq!(texts, ["", "lung", " heal", "ed"]);
        assert_eq!(pieces[2].guess, Some((" lung".into(), 0.5)));
        assert_eq!(pieces.iter().map(|piece| piece.right).collect::<Vec<_>>(), [false, false, false, true]);
        let drawn = draw_piece(&pieces[2]).into_string();
        assert!(drawn.starts_with(" <span class=\"wrong\"") && drawn.contains("<del>lung</del><b>heal</b>"), "{drawn}");
    }

    #[test]
    fn words_are_escaped() {
        let piece = Piece { text: " <b>".into(), guess: Some(("<script>".into(), 0.1)), right: false };
        let drawn = draw_piece(&piece).into_string();
        assert!(
            !drawn.contains("<script>") && drawn.contains("&lt;script&gt;") && drawn.contains("&lt;b&gt;"),
            "{drawn}"
        );
    }
}
