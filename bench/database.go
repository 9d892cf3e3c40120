package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"
)

// emptyDatabase drops and creates a database on the server of the URL admin and returns its URL.
func emptyDatabase(ctx context.Context, admin, name string) (string, error) {
	name = "keytrail_bench_" + name
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return "", fmt.Errorf("connect to Postgres: %w", err)
	}
	defer conn.Close(ctx)
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + name + " WITH (FORCE)", "CREATE DATABASE " + name} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return "", fmt.Errorf("%s: %w", sql, err)
		}
	}
	address, err := url.Parse(admin)
	if err != nil {
		return "", fmt.Errorf("the database URL: %w", err)
	}
	address.Path = "/" + name
	return address.String(), nil
}
