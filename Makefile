# `go test ./...` is all that the tests need; these are short names for the longer checks. CI runs the same targets.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME := 30s

# The slowest packages first, or each of them is left alone at the end; three at a time on two processors, since these wait
# for disks, timers and registries as long as they compute.
ALL := -p $$(($$(getconf _NPROCESSORS_ONLN) + 1)) ./compat ./torture ./...
# Command that lists the packages with a function of this kind.
having = grep -rl --include='*_test.go' '^func $(1)' ./*.go ./cmd ./internal ./compat/*.go ./likedtest ./torture | xargs -r -n 1 dirname | sort -u

.PHONY: check fmt vet staticcheck tidy test race postgres citus compat compat-postgres torture nightly screenshot fuzz bench bench-others gobench clean

check: fmt vet staticcheck test

fmt:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not gofmt'ed:"; echo "$$unformatted"; exit 1; fi

vet:
	go vet ./...
	cd compat/go && go vet ./...
	cd compat/others && CGO_ENABLED=0 go vet ./...

staticcheck:
	go run $(STATICCHECK) ./...

# The files are as `go mod tidy` would leave them.
tidy:
	go mod tidy -diff
	cd compat/go && go mod tidy -diff
	cd compat/others && go mod tidy -diff

test:
	go test $(ALL)

# LIKED_REQUIRE=all turns skips for want of a tool into failures. Three tests stay out: the programs that they run are built
# without the race detector in any case. The whole suite of the store on PostgreSQL stays with `make postgres`.
race:
	LIKED_REQUIRE=all go test -race -shuffle=on -timeout 40m \
		-skip '^(TestDocuments|TestBroken(Builds|Engines)AreCaught|TestSuite|TestSuiteOnTwo|TestSuiteFaults|TestCitus.*)$$' \
		$(TESTFLAGS) $(ALL)

# PostgreSQL: the suite that holds every engine to the contract, alone, on two servers, what these promise each other, and with
# faults; two servers and a failover; and the conversations, which do not ask which engine there is.
ASKING := ./internal/api ./internal/auth ./internal/oauth ./internal/portal ./internal/home ./internal/likelog ./internal/webhook \
	./internal/admin ./internal/seed ./internal/server ./likedtest
postgres:
	LIKED_REQUIRE=postgres go test $(TESTFLAGS) -short -timeout 40m -run '^TestSuite' ./internal/store/pgstore
	LIKED_REQUIRE=postgres go test $(TESTFLAGS) -run '^TestFailover$$' ./torture
	LIKED_TEST_ENGINE=postgres LIKED_REQUIRE=postgres go test $(TESTFLAGS) $(ASKING)

# On Citus: LIKED_TEST_CITUS is a connection string of a coordinator in use, whose user may create schemas. No registry has it.
citus:
	@[ -n "$$LIKED_TEST_CITUS" ] || { echo "LIKED_TEST_CITUS names no coordinator of Citus"; exit 1; }
	go test $(TESTFLAGS) -count=1 -short -timeout 60m -run '^TestCitus' ./internal/store/pgstore

# Other people's clients against the built binary, and the pages in Chromium. They are downloaded, Chromium is not.
# SCREENSHOTS=DIR keeps pictures of the pages, TESTFLAGS=-update writes docs/clients.md anew.
compat:
	LIKED_REQUIRE=all go test -count=1 -timeout 10m -v -run '^Test(Run)?Clients$$' ./compat $(TESTFLAGS)

# The same on PostgreSQL, with bad input and kills beside. CLIENTS=typescript,go are those alone, RACE= is faster.
CLIENTS := all
RACE := -race
compat-postgres:
	LIKED_TEST_ENGINE=postgres LIKED_REQUIRE=postgres,$(CLIENTS) go test $(RACE) -count=1 -timeout 40m \
		-run '^(TestClients|TestBadInput|TestWebhooksSurviveKills)$$' ./compat $(TESTFLAGS)

# Every promise of docs/reliability.md, attacked for more than an hour; make torture KILLS=30 SOAK=1m and so on is shorter.
torture:
	torture/run

# What repeats a proof at length, for a machine that is idle for two hours: each attack in its long form, with the long
# fuzzing, other people's clients on PostgreSQL, then every goal, then likes beside other stores. All of it runs, even if a part fails.
nightly:
	@failed=; for part in torture compat-postgres bench bench-others; do echo "=== make $$part"; $(MAKE) -s $$part || failed="$$failed $$part"; done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed"; exit 1; fi

# The pictures in the README, which the browser's tests take.
screenshot:
	README_PICTURES=$(CURDIR)/docs LIKED_REQUIRE=browser go test -count=1 -timeout 10m -run '^TestClients$$/^browser$$' ./compat

# Each fuzz target for FUZZTIME, two at a time, from one program for each package. No targets at all is an error: the search
# for them is broken then.
fuzz:
	@dirs=$$($(call having,Fuzz)); if [ -z "$$dirs" ]; then echo "no fuzz targets found"; exit 1; fi; \
	export built=$$(mktemp -d) known=$$(go env GOCACHE)/fuzz && trap 'rm -rf "$$built"' EXIT && \
	xargs -n 1 -P 2 sh -c 'mkdir -p "$$built/$$1" && go test -vet=off -c -fuzz . -o "$$built/$$1/fuzz" "$$1" || exit 255' sh <<<"$$dirs" && \
	for dir in $$dirs; do targets=$$(cd $$dir && "$$built/$$dir/fuzz" -test.list ^Fuzz) || exit 1; printf "$$dir %s\n" $$targets; done | \
	xargs -n 2 -P 2 sh -c 'out=$$(cd "$$1" && "$$built/$$1/fuzz" -test.run "^$$" -test.fuzz "^$$2\$$" -test.fuzztime $(FUZZTIME) \
		-test.fuzzminimizetime 1s -test.fuzzcachedir "$$known/liked/$$1" </dev/null 2>&1); status=$$?; \
		echo "$$1 $$2"; echo "$$out"; [ $$status -eq 0 ] || exit 255' sh

# Every goal of speed and size, with servers of its own: figure, goal, met or not; then those on PostgreSQL, and whether costs have
# moved from those of docs/scale.md, where PostgreSQL is installed. Half an hour; FLAGS=--short takes a minute and only shows
# that all can be measured.
FLAGS :=
SHORT = $(findstring --short,$(FLAGS))
bench:
	go run ./cmd/liked bench goals $(FLAGS)
	@if ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then $(MAKE) -s bench-postgres; \
	else echo "SKIPPED: the goals on PostgreSQL, which is not installed (Debian: postgresql)"; fi

.PHONY: bench-postgres
bench-postgres:
	go run ./cmd/liked bench postgres --costs measured.json $(or $(SHORT),--likes 10000000)
	go run ./internal/scale measured.json $(if $(SHORT),|| true)

# This server beside one handler of net/http on PostgreSQL, Redis and SQLite, as far as they are installed (Debian: postgresql,
# redis-server; gcc for SQLite), for likes, pages and counts, with goals; and beside calls of these stores alone.
OTHERS := $(shell pkg-config --exists sqlite3 2>/dev/null && echo -tags libsqlite3)
bench-others:
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && go build -o "$$dir" ./cmd/liked && \
	go build -C compat/others $(OTHERS) -o "$$dir/others" . && "$$dir/others" -liked "$$dir/liked" $(FLAGS)

# Every Go benchmark. BENCHTIME=1x only shows that they run.
BENCHTIME := 1s
gobench:
	go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) $$($(call having,Benchmark))

clean:
	go clean -testcache -fuzzcache
	rm -rf measured.json compat/*/node_modules compat/typescript/build compat/java/*/target
