package pgstore

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"liked"
)

// asIs is an error of a caller's function, which the call returns as it is.
type asIs struct{ error }

func (e asIs) Unwrap() error { return e.error }

// lost reports whether the connection is gone, or the server asks to try another one.
func lost(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case strings.HasPrefix(e.Code, "08"), strings.HasPrefix(e.Code, "57P0"):
			return true
		case e.Code == "25P03", e.Code == "25P04": // ended by a timeout of idle or long transactions
			return true
		case e.Code == "25006": // read-only: a primary that became a standby
			return true
		}
		return false
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "conn closed")
}

// errHalf is that a transaction is committed on some nodes of Citus and not yet on others.
var errHalf = liked.Errorf(liked.Unavailable, "the database is not done with what came before")

// passes reports whether the same work may succeed if it is done again.
func passes(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code {
		case "40001", "40P01", "55P03", "53300", "XX000":
			return true
		}
	}
	return !refuses(err) && (lost(err) || errors.Is(err, errHalf))
}

// refuses reports whether the database will refuse the same again until somebody changes what it is told, or what it allows.
func refuses(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (strings.HasPrefix(e.Code, "28") || e.Code == "3D000" || e.Code == "42501" || refusesSetting(err) || pooled(e))
}

// pooled reports whether a statement was prepared on another connection, as a pooler has it.
func pooled(e *pgconn.PgError) bool { return e.Code == "42P05" || e.Code == "26000" }

// refusesSetting reports whether the database does not take a setting of the connection string.
func refusesSetting(err error) bool {
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	e, ok := errors.AsType[*pgconn.PgError](err)
	return connecting && ok && (e.Code == "42704" || strings.HasPrefix(e.Code, "22"))
}

// failure is what a call returns for an error: a *liked.Error, or a caller's own. What the database has is never the caller's
// mistake.
func failure(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[asIs](err); ok {
		return e.error
	}
	if e, ok := errors.AsType[*liked.Error](err); ok {
		return e
	}
	e := &liked.Error{Kind: liked.Unavailable,
		Msg: "the database cannot be reached; check that it runs and that its address is right", Err: err}
	const standby = "the database takes no writes: it is a standby, of which the connection string has to name the primary, or all " +
		"hosts, or default_transaction_read_only is on"
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		if errors.Is(err, pgconn.ErrReadOnlyConnection) {
			e.Msg = standby
		} else if _, connecting := errors.AsType[*pgconn.ConnectError](err); !connecting && errors.Is(err, context.DeadlineExceeded) {
			e.Msg = errPatience.Error()
		}
		return e
	}
	switch {
	case pg.Code == "25006":
		e.Msg = standby
	case pg.Code == "53100" || pg.Code == "58030":
		e.Msg = "the database's disk refuses writes; free space on it"
	case pg.Code == "53300":
		e.Msg = "the database has no connection left; raise max_connections, or run fewer servers"
	case strings.HasPrefix(pg.Code, "53"):
		e.Msg = "the database lacks memory, or is at a limit of its own: its log says which"
	case strings.HasPrefix(pg.Code, "57P0"), pg.Code == "25P03", pg.Code == "25P04":
		e.Msg = "the database is starting or stopping, or ends connections"
	case strings.HasPrefix(pg.Code, "28"), pg.Code == "3D000":
		e.Msg = "the database refuses this user, password or database name"
	case refusesSetting(err):
		e.Msg = "the database does not take a setting of the connection string"
	case pooled(pg):
		e.Msg = "a pooler between gives each transaction another connection: add default_query_exec_mode=cache_describe to the " +
			"connection string"
	case pg.Code == "42501":
		e.Msg = "the database user lacks a right: " + pg.Message
	case pg.Code == "XX001" || pg.Code == "XX002":
		e.Kind, e.Msg = liked.Internal, "the database is damaged; restore a backup"
	case strings.HasPrefix(pg.Code, "08"), pg.Code == "57014", pg.Code == "40001", pg.Code == "40P01", pg.Code == "55P03":
		e.Msg = "the database could not finish this in time"
	default:
		e.Kind, e.Msg = liked.Internal, "the database refused a statement"
	}
	return e
}

func noSuch(what string, id any) error {
	return liked.Errorf(liked.NotFound, "no such %s %v", what, id)
}

func taken(what string, id any) error {
	return liked.Errorf(liked.Conflict, "%s %v exists already", what, id)
}

// changed has a statement report whether it changed, or found, any row.
func changed(any *bool) func(pgconn.CommandTag) error {
	return func(done pgconn.CommandTag) error { *any = done.RowsAffected() > 0; return nil }
}

// violates reports whether err is the violation of the unique index or key of that name. In a shard a number follows the name,
// and what is in another node has it in the text alone.
func violates(err error, constraint string) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "23505" && (e.ConstraintName == constraint || strings.Contains(e.Message, constraint+"_"))
}
