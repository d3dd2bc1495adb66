-- What retention takes the time of day to be, as the clock may be wrong: one row.
CREATE TABLE belief (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  time INTEGER NOT NULL,
  doubted INTEGER, -- milliseconds for which the clock has been ahead of it; null while it is not
  leapt INTEGER NOT NULL -- whether it got ahead while the program ran
) STRICT;
