package sim

import "weir/cluster/control"

type stage struct{}

func newStage(*world) *stage { return &stage{} }

func (*stage) boot(*machine, control.Config) process { return nil }
