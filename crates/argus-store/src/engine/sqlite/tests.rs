//! Laws of the SQLite file itself.
