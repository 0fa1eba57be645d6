//! Masked words and the model's predictions for them.
//!
//! Only the plugin can render tokens as text. The text of one token is the difference that it makes to the text of all
//! tokens before it, so blanks and word pieces appear as the plugin writes them.

use maud::{Markup, html};
use medcoss_core::pretext::{PredictedTokens, Prediction};
use medcoss_plugin_host::{Rendered, Tokens};

use super::samples::StageSamples;
use crate::numbers::percent;

/// A piece of text with or without a prediction.
#[derive(Debug, Clone, PartialEq)]
struct Piece {
    /// Text that the token adds.
    text: String,
    /// Text that the prediction would have added, and its probability.
    prediction: Option<(String, f32)>,
    right: bool,
}

pub(crate) fn draw(samples: &StageSamples, predicted: &PredictedTokens, id: &str) -> Result<Markup, String> {
    let Some(padding) = samples.source.padding_id() else { return Err("words are shown by their plugin alone".into()) };
    let mut render = |ids: &[i32]| match samples.source.render(Tokens::Discrete(ids), &[]) {
        Ok(Some(Rendered::Text(text))) => Ok(text),
        Ok(_) => Err("its plugin renders no text".to_string()),
        Err(error) => Err(error.to_string()),
    };
    let pieces = pieces(predicted, padding, &mut render)?;
    let n_right = pieces.iter().filter(|piece| piece.right).count();
    let n_predictions = predicted.predictions.len();
    Ok(html! {
        div.sample {
            p.caption {
                code { (id) } " " (n_right) " of " (n_predictions) " words right"
                @if n_predictions > 0 { " (" (percent(n_right as f64 / n_predictions as f64)) ")" }
            }
            p.words { @for piece in &pieces { (draw_piece(piece)) } }
        }
    })
}

/// The legend for predicted words.
pub(crate) fn key() -> Markup {
    html! {
        p.key { ins { "right" } " " span.wrong { del { "wrong prediction" } b { "what stood there" } } " Point at a word for its probability." }
    }
}

fn draw_piece(piece: &Piece) -> Markup {
    let word = piece.text.trim_start();
    let blank = &piece.text[..piece.text.len() - word.len()];
    html! {
        (blank)
        @match &piece.prediction {
            None => (word),
            Some((prediction, probability)) => {
                @let caption = format!("prediction \u{201c}{}\u{201d}, {}", prediction.trim(), percent(f64::from(*probability)));
                @if piece.right {
                    ins title=(caption) { (word) }
                } @else {
                    @let prediction = if prediction.trim().is_empty() { "\u{2205}" } else { prediction.trim() };
                    span.wrong title=(caption) { del { (prediction) } b { (if word.is_empty() { "\u{2205}" } else { word }) } }
                }
            },
        }
    }
}

fn pieces(
    predicted: &PredictedTokens,
    padding: i32,
    render: &mut dyn FnMut(&[i32]) -> Result<String, String>,
) -> Result<Vec<Piece>, String> {
    let mut ids = vec![padding; predicted.original.len()];
    let mut before = String::new();
    let mut pieces = Vec::new();
    for position in 0..predicted.length.min(ids.len()) {
        let own = predicted.original[position];
        let prediction = predicted.predictions.iter().find(|prediction| prediction.position == position);
        let instead = match prediction {
            Some(&Prediction { id, probability, .. }) => {
                ids[position] = id;
                Some((added(&before, &render(&ids)?), probability))
            }
            None => None,
        };
        ids[position] = own;
        let text = render(&ids)?;
        let right = prediction.is_some_and(|prediction| prediction.id == own);
        pieces.push(Piece { text: added(&before, &text), prediction: instead, right });
        before = text;
    }
    Ok(pieces)
}

/// The part of a text after its common beginning with another text.
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

    /// A tokeniser of five tokens: padding, begin, words, and a suffix of the previous word.
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
    fn every_token_has_the_text_that_it_adds_and_predictions_replace_it() {
        let prediction = |position, id| Prediction { position, id, probability: 0.5 };
        let predicted = PredictedTokens {
            original: vec![1, 2, 3, 4, 0, 0],
            length: 4,
            predictions: vec![prediction(2, 2), prediction(3, 4)],
        };
        let pieces = pieces(&predicted, 0, &mut render).unwrap();
        let texts: Vec<&str> = pieces.iter().map(|piece| piece.text.as_str()).collect();
        assert_eq!(texts, ["", "lung", " heal", "ed"]);
        assert_eq!(pieces[2].prediction, Some((" lung".into(), 0.5)));
        assert_eq!(pieces.iter().map(|piece| piece.right).collect::<Vec<_>>(), [false, false, false, true]);
        let drawn = draw_piece(&pieces[2]).into_string();
        assert!(drawn.starts_with(" <span class=\"wrong\"") && drawn.contains("<del>lung</del><b>heal</b>"), "{drawn}");
    }

    #[test]
    fn words_are_escaped() {
        let piece = Piece { text: " <b>".into(), prediction: Some(("<script>".into(), 0.1)), right: false };
        let drawn = draw_piece(&piece).into_string();
        assert!(
            !drawn.contains("<script>") && drawn.contains("&lt;script&gt;") && drawn.contains("&lt;b&gt;"),
            "{drawn}"
        );
    }
}
