//! Where tables are kept: one JSON file for each key, in a folder of the user's cache.

use super::{Key, Table};
use reluctor::error::{Error, Result, escape};
use reluctor::files::replace;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A folder of tables.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// What the store knows, and what was wrong with it.
#[derive(Debug)]
pub struct Loaded {
    /// Empty where nothing usable is stored.
    pub table: Table,
    /// Why a stored file was not used.
    pub warning: Option<String>,
}

impl Store {
    /// In this folder, which is made when something is saved.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Store { folder: folder.into() }
    }

    /// The user's: `$XDG_CACHE_HOME/reluctor` or what stands for it on this system; none where there is no such place.
    pub fn of_user() -> Option<Self> {
        dirs::cache_dir().map(|folder| Store::new(folder.join("reluctor")))
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of this key's table.
    pub fn path(&self, key: &Key) -> PathBuf {
        self.path_of("tune", key)
    }

    /// The file of something else that is measured once for a key.
    pub fn path_of(&self, what: &str, key: &Key) -> PathBuf {
        let Key { engine, shaders, adapter, backend, driver } = key;
        let crc =
            crc32fast::hash([engine, shaders, adapter, backend, driver].map(String::as_str).join("\n").as_bytes());
        self.folder.join(format!("{what}-{crc:08x}.json"))
    }

    /// The table of this key. A file that is missing, damaged or another key's is a miss; the last two with a warning.
    pub fn load(&self, key: &Key) -> Loaded {
        let path = self.path(key);
        let empty = |warning| Loaded { table: Table::new(key.clone()), warning };
        let ignored =
            |reason: String| empty(Some(format!("{} is not used: {reason}", escape(&path.display().to_string()))));
        match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => empty(None),
            Err(error) => ignored(error.to_string()),
            Ok(bytes) => match parse(&path, &bytes) {
                Ok(table) if table.key == *key => Loaded { table, warning: None },
                Ok(table) => ignored(format!("it was measured on {}", describe(&table.key))),
                Err(error) => ignored(error.to_string()),
            },
        }
    }

    /// Keeps a table, whole or not at all: two processes may save at once.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, table: &Table) -> Result<()> {
        fs::create_dir_all(&self.folder).map_err(|error| Error::io(&self.folder, error))?;
        write(&self.path(&table.key), table)
    }

    /// Adds an exported table to what is stored under its key, and returns it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the file is damaged or comes from another version of this engine; [`Error::Io`].
    pub fn import(&self, path: &Path) -> Result<Table> {
        let imported = parse(path, &fs::read(path).map_err(|error| Error::io(path, error))?)?;
        let (engine, shaders) = (env!("CARGO_PKG_VERSION"), format!("{:08x}", super::shaders_crc()));
        if imported.key.engine != engine || imported.key.shaders != shaders {
            let culprit = escape(&path.display().to_string());
            let Key { engine: theirs, shaders: their_shaders, .. } = &imported.key;
            return Err(Error::invalid(
                culprit,
                format!("was measured with version {theirs}, shaders {their_shaders}; this is {engine}, {shaders}"),
            ));
        }
        let mut table = self.load(&imported.key).table;
        table.fastest.extend(imported.fastest);
        table.quarantined.extend(imported.quarantined);
        self.save(&table)?;
        Ok(table)
    }
}

/// Writes a table to a file of the caller's choice.
///
/// # Errors
/// [`Error::Io`].
pub fn export(table: &Table, path: &Path) -> Result<()> {
    write(path, table)
}

fn describe(key: &Key) -> String {
    let Key { engine, shaders, adapter, backend, driver } = key;
    escape(&format!("{adapter} ({backend}, {driver}) with version {engine}, shaders {shaders}"))
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Table> {
    let culprit = || escape(&path.display().to_string());
    let table: Table = serde_json::from_slice(bytes)
        .map_err(|error| Error::invalid(culprit(), format!("is no tuning table: {error}")))?;
    let mut times = table.fastest.values().map(|fastest| fastest.ms);
    match times.find(|ms| !(ms.is_finite() && *ms > 0.0)) {
        Some(ms) => Err(Error::invalid(culprit(), format!("is no tuning table: {ms} ms"))),
        None => Ok(table),
    }
}

fn write(path: &Path, table: &Table) -> Result<()> {
    let mut text = serde_json::to_string_pretty(table).map_err(|error| Error::Internal(error.to_string()))?;
    text.push('\n');
    replace(path, |file| file.write_all(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::Fastest;
    use super::*;

    fn key(driver: &str) -> Key {
        let [engine, shaders] = [env!("CARGO_PKG_VERSION").to_string(), format!("{:08x}", crate::tune::shaders_crc())];
        Key { engine, shaders, adapter: "a".into(), backend: "b".into(), driver: driver.into() }
    }

    fn table(driver: &str) -> Table {
        let fastest =
            Fastest { candidate: "conv_tile".into(), ms: 1.5, rule: "conv_direct".into(), rule_ms: Some(2.0) };
        Table { fastest: [("1x1".to_string(), fastest)].into(), ..Table::new(key(driver)) }
    }

    fn store(name: &str) -> Store {
        let folder = std::env::temp_dir().join(format!("reluctor-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        Store::new(folder)
    }

    #[test]
    fn what_is_saved_is_loaded_under_its_key_only() {
        let store = store("saved");
        store.save(&table("1")).unwrap();
        let loaded = store.load(&key("1"));
        assert!(loaded.warning.is_none());
        assert_eq!(loaded.table, table("1"));
        let other = store.load(&key("2"));
        assert!(other.table.fastest.is_empty() && other.warning.is_none());
        fs::remove_dir_all(store.folder).unwrap();
    }

    #[test]
    fn a_damaged_or_foreign_file_is_a_miss_with_a_warning() {
        let store = store("damaged");
        store.save(&table("1")).unwrap();
        let path = store.path(&key("1"));
        let whole = fs::read_to_string(&path).unwrap();
        let foreign = whole.replace("\"driver\": \"1\"", "\"driver\": \"2\"");
        let negative = whole.replace("1.5", "-1.5");
        for text in ["", "{}", "\u{0}", &whole[..whole.len() / 2], &foreign, &negative] {
            fs::write(&path, text).unwrap();
            let loaded = store.load(&key("1"));
            assert!(loaded.table.fastest.is_empty() && loaded.warning.is_some(), "{text}");
        }
        fs::remove_dir_all(store.folder).unwrap();
    }

    #[test]
    fn an_import_adds_to_what_is_known_and_refuses_other_versions() {
        let store = store("import");
        store.save(&table("1")).unwrap();
        let file = store.folder.join("exported.json");
        let mut other = table("1");
        other.fastest = other.fastest.into_values().map(|fastest| ("2x2".to_string(), fastest)).collect();
        export(&other, &file).unwrap();
        assert_eq!(store.import(&file).unwrap().fastest.keys().collect::<Vec<_>>(), ["1x1", "2x2"]);
        assert_eq!(store.load(&key("1")).table.fastest.len(), 2);
        other.key.shaders = "0".into();
        export(&other, &file).unwrap();
        assert!(matches!(store.import(&file), Err(Error::Invalid { .. })));
        fs::remove_dir_all(store.folder).unwrap();
    }
}
