-- +goose Up

-- How many calls the row stands for. The default is kept in the catalogue: no row is written anew, and a release that
-- does not know the column goes on writing. It is the cheapest form that is still a number: 4 bytes on average, where
-- NULL for 1 would cost 8, because with more than 8 columns its bitmap no longer fits beside the row's header.
ALTER TABLE request_logs ADD COLUMN repeated integer NOT NULL DEFAULT 1;

-- +goose Down
ALTER TABLE request_logs DROP COLUMN repeated;
