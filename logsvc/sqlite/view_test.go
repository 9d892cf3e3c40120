package sqlite

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

func TestViewWithAFilterLooksAtABoundedNumberOfRows(t *testing.T) {
	store, entries := openSmallChunks(t), calls(20)
	entries[17].Status = 500
	record(t, store, entries...)
	query := logsvc.ViewQuery{Filter: logsvc.Filter{StatusClass: 5}, Range: everything(), Rows: 5, Blocks: 1}
	for _, step := range []struct {
		from uuid.UUID
		rows []logsvc.Entry
	}{{entries[7].ID, nil}, {entries[15].ID, nil}, {uuid.Nil, entries[17:18]}} {
		got := view(t, store, query)
		if got.RowsFrom != step.from || !slices.Equal(got.Rows, step.rows) {
			t.Errorf("the view of rows below %s: %+v\nwant %+v", query.Range.To, got, step)
		}
		query.Range.To = got.RowsFrom
	}
}

func TestViewEndsAtItsLastRow(t *testing.T) {
	store, entries := openSmallChunks(t), calls(20)
	record(t, store, entries...)
	for _, filter := range []logsvc.Filter{{}, {StatusClass: 2}} {
		got := view(t, store, logsvc.ViewQuery{Filter: filter, Range: everything(), Rows: 3, Blocks: 1})
		if got.RowsFrom != entries[2].ID || !slices.Equal(got.Rows, entries[:3]) {
			t.Errorf("filter %+v: %+v", filter, got)
		}
	}
}

// TestViewReturnsLateRowsThatDoNotMatch is about rows that are not above every block, whether one of them covers their ids or
// not.
func TestViewReturnsLateRowsThatDoNotMatch(t *testing.T) {
	store, entries := openNew(t), calls(10)
	replace(t, store, logsvc.Change{Insert: []logsvc.SealedBlock{sealed(entries[2:4]...), sealed(entries[6:8]...)}})
	record(t, store, entries...)
	got := view(t, store, logsvc.ViewQuery{Filter: logsvc.Filter{Endpoint: "nowhere"}, Range: everything(), Rows: 10, Blocks: 1})
	if !slices.Equal(got.Rows, entries[2:]) {
		t.Errorf("got %+v\nwant %+v", got.Rows, entries[2:])
	}
}

func TestViewOfBlocksStopsWhereTheRangeDoes(t *testing.T) {
	store, entries := openNew(t), calls(12)
	var blocks []logsvc.SealedBlock
	for part := range slices.Chunk(entries, 3) {
		blocks = append(blocks, sealed(part...))
	}
	replace(t, store, logsvc.Change{Insert: blocks})
	for name, c := range map[string]struct {
		ids    logsvc.Range
		limit  int
		blocks []logsvc.SealedBlock
		from   uuid.UUID
	}{
		"everything":        {everything(), 9, blocks, uuid.Nil},
		"the newest":        {everything(), 2, blocks[:2], entries[5].ID},
		"within a block":    {logsvc.Range{From: entries[5].ID, To: entries[4].ID}, 1, blocks[1:2], entries[5].ID},
		"from a last id":    {logsvc.Range{From: entries[3].ID, To: uuid.Max}, 9, blocks[:2], entries[3].ID},
		"from a first id":   {logsvc.Range{From: entries[5].ID, To: uuid.Max}, 9, blocks[:2], entries[5].ID},
		"up to a first id":  {logsvc.Range{To: entries[5].ID}, 9, blocks[2:], uuid.Nil},
		"limit at the end":  {logsvc.Range{From: entries[4].ID, To: uuid.Max}, 2, blocks[:2], entries[4].ID},
		"an empty one":      {logsvc.Range{From: entries[4].ID, To: entries[4].ID}, 9, nil, entries[4].ID},
		"below every block": {logsvc.Range{To: entries[11].ID}, 9, nil, uuid.Nil},
	} {
		got := view(t, store, logsvc.ViewQuery{Range: c.ids, Rows: 1, Blocks: c.limit})
		if got.BlocksFrom != c.from {
			t.Errorf("%s: blocks down to %s, want %s", name, got.BlocksFrom, c.from)
		}
		t.Run(name, func(t *testing.T) { sameBlocks(t, got.Blocks, c.blocks...) })
	}
}

// TestViewIsOfOneMoment seals calls whose report has arrived since their rows were read. A view of a block must have the row of
// the report, which does not match.
func TestViewIsOfOneMoment(t *testing.T) {
	t.Parallel()
	store, running := openNew(t), make(chan struct{})
	go func() {
		defer close(running)
		for range 100 {
			refused := calls(1)[0]
			refused.Status = 404
			reported := refused
			reported.Status, reported.Reported = 200, true
			change := logsvc.Change{Rows: []logsvc.Entry{refused}, Insert: []logsvc.SealedBlock{sealed(refused)}}
			err := errors.Join(store.Record(t.Context(), []logsvc.Entry{reported}), store.Replace(t.Context(), "acme", change))
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	defer func() { <-running }()
	for {
		got := view(t, store, logsvc.ViewQuery{Filter: logsvc.Filter{StatusClass: 4}, Range: everything(), Rows: 1, Blocks: 1})
		if len(got.Blocks) > 0 && (len(got.Rows) == 0 || got.Rows[0].ID != got.Blocks[0].Last) {
			t.Fatalf("the newest block is %v, and the newest rows are %+v", got.Blocks, got.Rows)
		}
		select {
		case <-running:
			return
		default:
		}
	}
}

func TestReadCutsPartsOutOfTheData(t *testing.T) {
	store, entries := openNew(t), calls(2)
	first, second := sealed(entries[0]), sealed(entries[1])
	second.Data = []byte("abc")
	replace(t, store, logsvc.Change{Insert: []logsvc.SealedBlock{first, second}})
	parts := []logsvc.Part{
		{Block: second.Block, Span: block.Span{Offset: 0, Length: 3}},
		{Block: first.Block, Span: block.Span{Offset: 4, Length: 2}},
		{Block: first.Block, Span: block.Span{Offset: 8, Length: 5}},
		{Block: first.Block, Span: block.Span{Offset: 10, Length: 5}},
	}
	got, err := store.Read(t.Context(), "acme", parts)
	must(t, err)
	for i, want := range []string{"abc", "45", "89", ""} {
		if string(got[i]) != want {
			t.Errorf("part %d is %q, want %q", i, got[i], want)
		}
	}
	parts[1].ID = uuid.New()
	if _, err := store.Read(t.Context(), "acme", parts); !errors.Is(err, logsvc.ErrBlockGone) {
		t.Errorf("a replaced block: %v", err)
	}
}

func FuzzFilter(f *testing.F) {
	for _, seed := range [][2]string{
		{"/V1/Agents", "/v1/agents"}, {"%", "/a"}, {"_", "/a_b"}, {"\\", "/\\"}, {"'", "''"}, {"É", "/é"}, {"k", "/\u212a"},
		{"\x00", "/"}, {"\x00b", "a\x00B"}, {"a\x00", "a"}, {"", ""},
	} {
		f.Add(seed[0], seed[1], 200, "chat", "x")
	}
	f.Add("x", "/", 503, "chat", "x")
	f.Add("x", "/", 403, "x", "chat")
	store, entry := openNew(f), calls(1)[0]
	f.Fuzz(func(t *testing.T, needle, endpoint string, status int, agentType, code string) {
		for _, text := range []string{needle, endpoint, agentType, code} {
			if !utf8.ValidString(text) {
				t.Skip("none can be anything but UTF-8")
			}
		}
		entry.ID, entry.Endpoint, entry.Status = uuid7.New(time.Now()), endpoint, status
		entry.AgentType, entry.AgentID, entry.ErrorCode, entry.Method = agentType, code, code, agentType
		record(t, store, entry)
		for _, filter := range []logsvc.Filter{
			{Endpoint: needle}, {StatusClass: 2}, {AgentType: needle}, {AgentID: needle}, {ErrorCode: needle},
			{KeyID: entry.KeyID, StatusClass: 4}, {InProgress: true}, {Method: needle},
		} {
			ids := logsvc.Range{From: entry.ID, To: uuid.Max}
			got := view(t, store, logsvc.ViewQuery{Filter: filter, Range: ids, Rows: 1, Blocks: 1}).Rows
			if want := filter.Match(&entry); (len(got) == 1) != want || want && got[0] != entry {
				t.Errorf("%+v of %+v: got %+v, want %t", filter, entry, got, want)
			}
		}
	})
}

// TestPingDoesNotWaitForSearches has as many reads as run at a time.
func TestPingDoesNotWaitForSearches(t *testing.T) {
	store := openNew(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range store.db.Read.Stats().MaxOpenConnections {
		conn, err := store.db.Read.Conn(ctx)
		must(t, err)
		defer conn.Close()
	}
	must(t, store.Ping(ctx))
}

func TestPingFailsWhenTheStoreCannotBeRead(t *testing.T) {
	for _, table := range []string{"request_logs", "request_log_blocks"} {
		store := openNew(t)
		must(t, store.Ping(t.Context()))
		_, err := store.db.Write.ExecContext(t.Context(), "DROP TABLE "+table)
		must(t, err)
		if store.Ping(t.Context()) == nil {
			t.Errorf("Ping without %s succeeded", table)
		}
	}
}
