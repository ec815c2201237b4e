//! Merges one layer of configuration into another, key by key, so that every error can name the full key.

use std::path::Path;

use serde_json::Value;

use super::{Config, ModelName};
use crate::{Error, Result, text};

/// Reason why a layer was refused; the caller adds where the layer came from.
type Refusal = String;

/// The key that determines the defaults of other keys.
const MODEL_NAME: &str = "model.name";

impl Config {
    /// Loads the defaults overridden by the JSON file `path`.
    ///
    /// The types of the values are checked, but not their ranges: later layers may still change them, and
    /// [`Config::validate`] makes the final check.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, is not a JSON object, or holds an unknown key or a value of the
    /// wrong type.
    pub fn load(path: impl AsRef<Path>) -> Result<Config> {
        Config::default().with_file(path)
    }

    /// Returns this configuration overridden by a config file.
    ///
    /// # Errors
    /// Returns the same errors as [`Config::load`].
    pub fn with_file(&self, path: impl AsRef<Path>) -> Result<Config> {
        let path = path.as_ref();
        let text = text::read(path)
            .map_err(|e| Error::file(path, format!("the config file cannot be read ({e}); check the path")))?;
        let layer = serde_json::from_str(&text)
            .map_err(|e| Error::file(path, format!("not valid JSON ({e}); a config is one JSON object")))?;
        self.overlaid(layer).map_err(|refusal| Error::file(path, refusal))
    }

    /// Returns the defaults overridden by the JSON object `layer`. This is how a saved config is read back.
    ///
    /// # Errors
    /// Returns an error message if there is an unknown key or a value of the wrong type; the caller adds where the
    /// layer came from.
    pub fn from_value(layer: Value) -> std::result::Result<Config, String> {
        Config::default().overlaid(layer)
    }

    /// Returns this configuration overridden by the JSON object `layer`, whose keys may be dotted.
    ///
    /// # Errors
    /// Returns an error if there is an unknown key or a value of the wrong type. As for [`Config::load`], the ranges of
    /// the values are left to [`Config::validate`].
    pub fn with_value(&self, layer: Value) -> Result<Config> {
        self.overlaid(layer).map_err(Error::config)
    }

    /// Sets one key from the text `key=value`, as in `train.max_steps=500`. The value is parsed as JSON, or else taken
    /// as a plain string.
    ///
    /// # Errors
    /// Returns an error if the text has no `=`, the key is unknown, or the value has the wrong type.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let Some((key, text)) = assignment.split_once('=') else {
            return Err(Error::config(format!(
                "`{assignment}` sets nothing; write key=value, as in train.max_steps=500"
            )));
        };
        let (key, text) = (key.trim(), text.trim());
        let wants_text = self.to_value().pointer(&pointer(key)).is_some_and(Value::is_string);
        let value = match serde_json::from_str(text) {
            Ok(value) if !wants_text || matches!(value, Value::String(_)) => value,
            _ => Value::String(text.to_owned()),
        };
        self.set_value(key, value)
    }

    /// Sets the key `key` (dotted, as in `train.max_steps`) to `value`.
    ///
    /// # Errors
    /// Returns an error if the key is unknown or the value has the wrong type; `self` is then unchanged.
    pub fn set_value(&mut self, key: &str, value: impl Into<Value>) -> Result<()> {
        let value = value.into();
        let mut tree = self.base_for(if key == MODEL_NAME { Some(&value) } else { None }).to_value();
        place(&mut tree, key, value).map_err(Error::Config)?;
        *self = typed(tree);
        Ok(())
    }

    /// Returns the whole config as one JSON object, with the keys in the order of the struct.
    ///
    /// # Panics
    /// Panics if `scene.path` is not UTF-8; [`Config::set_value`] does not accept such a path.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("a config has string keys and a UTF-8 path")
    }

    /// Returns every key that can be set, in dotted form and in the order of the struct.
    pub fn keys() -> Vec<String> {
        let mut keys = Vec::new();
        collect_leaves(&Config::default().to_value(), "", &mut keys);
        keys
    }

    /// Returns this configuration, with the default grid of the encoding `name`, in the shape of the preset, if that
    /// differs from the current encoding.
    fn base_for(&self, name: Option<&Value>) -> Config {
        let mut base = self.clone();
        if let Some(name) = name.and_then(|name| serde_json::from_value::<ModelName>(name.clone()).ok())
            && name != base.model.name
        {
            base.model.grid = name.grid_of(self.task);
            self.scene.preset.shape_grid(&mut base.model.grid, self.march.cascades);
        }
        base
    }

    fn overlaid(&self, layer: Value) -> std::result::Result<Config, Refusal> {
        let Value::Object(sections) = layer else {
            return Err(format!("a config is one JSON object such as {{\"train\": {{…}}}}, not {}", shown(&layer)));
        };
        let named = sections.get(MODEL_NAME).or_else(|| sections.get("model")?.get("name"));
        let mut tree = self.base_for(named).to_value();
        sections.into_iter().try_for_each(|(name, inner)| place(&mut tree, &name, inner))?;
        Ok(typed(tree))
    }
}

/// Sets `key` of `tree` to `value`. An object is merged into the section of that name, key by key.
fn place(tree: &mut Value, key: &str, value: Value) -> std::result::Result<(), Refusal> {
    let Some(known) = tree.pointer(&pointer(key)) else {
        return Err(unknown_key(key));
    };
    match (known.is_object(), value) {
        (true, Value::Object(section)) => {
            section.into_iter().try_for_each(|(name, inner)| place(tree, &format!("{key}.{name}"), inner))
        }
        (true, value) => Err(section_given_a_value(key, &value)),
        (false, value) => place_leaf(tree, key, value),
    }
}

fn place_leaf(tree: &mut Value, key: &str, value: Value) -> std::result::Result<(), Refusal> {
    let slot = tree.pointer_mut(&pointer(key)).expect("the caller looked the key up");
    *slot = value.clone();
    match serde_json::from_value::<Config>(tree.clone()) {
        Ok(_) => Ok(()),
        Err(e) => Err(format!("{key} is {}, but must be {}", shown(&value), expectation(&e.to_string(), &value))),
    }
}

fn typed(tree: Value) -> Config {
    serde_json::from_value(tree).expect("every leaf was checked as it was placed")
}

/// Converts `train.max_steps` to the JSON pointer `/train/max_steps`. Dots are always separators: no key contains one.
fn pointer(key: &str) -> String {
    format!("/{}", key.replace('.', "/"))
}

fn collect_leaves(node: &Value, key: &str, keys: &mut Vec<String>) {
    match node {
        Value::Object(section) => {
            section.iter().for_each(|(name, inner)| collect_leaves(inner, &format!("{key}.{name}"), keys));
        }
        _ => keys.push(key.trim_start_matches('.').to_owned()),
    }
}

fn unknown_key(key: &str) -> Refusal {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |known: &String| {
        let whole = strsim::normalized_damerau_levenshtein(key, known);
        // A key under the wrong section, or without a section, should still match the key of the same name.
        let namesake = 0.9 * strsim::normalized_damerau_levenshtein(&last(key), &last(known));
        whole.max(namesake)
    };
    let by_likeness = |a: &String, b: &String| likeness(a).total_cmp(&likeness(b));
    let mut keys = Config::keys();
    keys.sort_by_key(|key| std::cmp::Reverse(key.matches('.').count()));
    let sections: Vec<String> =
        keys.iter().flat_map(|key| key.match_indices('.').map(|(at, _)| key[..at].to_owned())).collect();
    // `max_by` returns the last of equal elements, so a key is preferred to a section, and a less nested key to a
    // deeper one.
    let nearest = sections.iter().chain(&keys).max_by(|a, b| by_likeness(a, b)).expect("a config has keys");
    let kind = if keys.contains(nearest) { "" } else { "section " };
    format!("`{key}` is not a configuration key; the nearest one is {kind}`{nearest}`")
}

fn section_given_a_value(key: &str, value: &Value) -> Refusal {
    let keys = Config::keys();
    let example = keys.iter().find(|known| known.starts_with(&format!("{key}."))).expect("a section has keys");
    format!("`{key}` is a section and cannot be {}; set one of its keys, such as `{example}`", shown(value))
}

/// Formats a value as in a JSON file, truncated if it is long.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Translates what serde expected into words for people who do not write Rust.
fn expectation(serde_message: &str, value: &Value) -> String {
    let expected = serde_message.rsplit("expected ").next().unwrap_or(serde_message).trim();
    let words = match expected {
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number, 0 or more",
        "f64" if value.is_array() => "a list of numbers",
        "f64" => "a number",
        "a sequence" => "a list of numbers",
        "path string" => "a path, as text",
        "an array of length 3" => "a list of 3 numbers",
        "string or map" => "one of the names in the documentation, as text",
        other => other,
    };
    words.to_owned()
}
