-- +goose Up

-- How many calls the row stands for. SQLite reads the default where a row is from before; 1 costs a row no byte but
-- that of its type.
ALTER TABLE request_logs ADD COLUMN repeated INTEGER NOT NULL DEFAULT 1;

-- +goose Down
ALTER TABLE request_logs DROP COLUMN repeated;
