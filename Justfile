# What developers run. `just check` is exactly what continuous integration runs.

# list the recipes
default:
    @just --list

# everything that must pass before a change is pushed
check:
    .ci/run

# build the program into bin/
build:
    go build -trimpath -o bin/ ./cmd/...

# run a node: just run --config weir.conf
run *args:
    go run ./cmd/weir node {{args}}

# three nodes on this machine, with streams and pages
demo *args:
    go run ./cmd/weir demo {{args}}

# all tests, with the race detector
test *args:
    go test -race -shuffle=on {{args}} ./...

# the types of the pages' modules; needs npm
pages-check:
    npx --yes --package=typescript@5.9.3 tsc --project protocols/pages

# the tests of the architecture, which the test cache cannot see
layers:
    go test -count=1 -run 'Downwards|Outside|Planted|Machine|Bubble|Program' ./cmd/weir

# clusters of real processes, with ffmpeg as publisher and player: just e2e -run Drain
e2e *args:
    go test -tags e2e -count=1 -v -timeout 30m {{args}} ./cmd/weir/e2e

# faults in real processes under viewers and publishers: just chaos 10m SEED
chaos length="10m" seed="1" *args:
    go run ./cmd/weir sim chaos {{length}} {{seed}} {{args}}

# sources of all kinds that misbehave at random, and what viewers get: just soak 10m SEED
soak length="10m" seed="1" sources="40":
    go test ./cmd/weir/soaktest -run Soak -count=1 -v -timeout 60m -args -for {{length}} -seed {{seed}} -sources {{sources}}

# scenarios with real processes, compared with the simulator
real *args:
    go run ./cmd/weir sim real --table {{args}} testdata/real/*.txtar

# rewrite the golden files, to be reviewed as a diff
update:
    go test ./cluster/conf ./cluster/srs ./protocols/api ./protocols/hls ./sim/timeline -update
    go generate ./cmd/weir

# regenerate the protobuf code; needs protoc
generate:
    go build -o bin/ google.golang.org/protobuf/cmd/protoc-gen-go
    PATH="{{justfile_directory()}}/bin:$PATH" go generate ./cluster/wire

# vet and staticcheck
lint:
    go vet -tags e2e ./...
    go tool staticcheck -tags e2e -checks all ./...

# format, and use what newer Go releases offer
fmt:
    go fix -tags e2e ./...
    go tool gofumpt -w .

# fail if something is not formatted
fmt-check:
    test -z "$(go tool gofumpt -l .)"

# fail if go.mod does not fit the code
tidy-check:
    go mod tidy -diff
    go mod verify

# every fuzz target for a while: just fuzz 30s
fuzz time="10s":
    #!/usr/bin/env bash
    set -euo pipefail
    go list -f '{{{{.Dir}}' ./... | while read -r dir; do
        for target in $(grep -ho '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go 2>/dev/null | cut -d' ' -f2); do
            (cd "$dir" && go test -run '^$' -fuzz "^$target\$" -fuzztime {{time}} -fuzzminimizetime 100x .)
        done
    done

# benchmarks of a package: just bench ./actors/hub
bench pkg="./...":
    go test -run '^$' -bench . -benchmem {{pkg}}

# test coverage in the browser
cover:
    go test -coverprofile=cover.out ./...
    go tool cover -html=cover.out

# plant small faults, and see what notices them: just mutants --area place --record sim/mutants/testdata
mutants *args:
    go run ./cmd/weir sim mutants {{args}}

# functions that nothing calls
dead:
    go tool deadcode -tags e2e -test ./...

# static programs for Linux with checksums and bills of materials, and Debian packages, in dist/
dist:
    cmd/weir/deploy/dist
