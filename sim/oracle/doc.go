// Package oracle judges a run of a group from outside: by what it was told of the configuration, by the faults that were in
// force, by the captures that the sources count, by what clients got and by what nodes answered. Its judgments are the
// invariants of the cluster rules, each with a bound that is a formula of the faults in force.
//
// It does not know the code that it judges: neither the control plane, nor the placement, nor a message between nodes. Where
// a stream belongs it computes from the text of the rules, plainly and slowly. Names are those that nodes announce; times are
// durations since the run began, by a true clock. So the simulator and real processes feed the same oracle.
//
// # Where a rule gives way
//
// Some rules promise something only in groups that agree, or that hear each other. Where one of them is not judged, another bound is:
//
//   - I4, the order of a stream: while files differ, or have been edited, two nodes need not have the same pin and home for the first of
//     the order, which cannot be seen from outside. The pin and home that the node itself tells are taken for true then, or the order by
//     score alone (R8). That one of the two yields at all is judged all the same: I18, by B4 and S + F for the time in which they differ.
//   - I17, a take-over by B2: while files differ, while a node has limits, and for three minutes after a source has failed, which node takes
//     a stream depends on what each knows of the files, the room and the waiting times of the others. R4 lets the others try one after the
//     other, so that I20 is judged instead: B7, and 63 s more for a source that is tried again.
//   - I6 and I19, home by B5: while files differ there is no home on which all agree; while the node that is the home has limits of its own
//     it may have no room; while links are not clear it may hear of an owner and not be heard. A node that runs since before an edit takes
//     nothing back by it. Then I20 and I18 are judged: somebody has the stream, and not two that hear each other.
//   - I24 and I25, few moves and balance: both speak of loads that all nodes see alike, so that links have to be clear, files the same and
//     without limits. A node that hears half of the group may have to take what another has (R4). I26 bounds how often a stream starts
//     at a node whatever happens, and I10 judges limits.
//   - I23, agreement: of two nodes that hear each other in one direction only, each may know another owner. I32 is judged on every link by
//     itself: a node that surely gets the answers of one that has the stream names somebody who has it.
//   - I22, a look-up: its bound is B7 in place of B2 where I17 gives way to I20. Without clear links I32 is judged.
//   - I28, calm: nodes try a source again that has failed, and take a stream back when it can be reached, although nothing else happens.
//     How often is judged by I26. A limit may be reached at any time, so that I28 is judged in groups without limits; I10 and I20 are
//     judged there. While files differ it begins when every node has had time to take back what belongs to it by its own file.
//   - I18, an overlap of two publishers of which one is silent (R9c): its node waits for S before it gives the name up, so that the node of
//     the other one has heard of the silence. The bound is that much longer, and by publish_takeover.
//   - A process that stands aside, because another has its name by right, is asked for nothing: I23 and I32 are judged at the others,
//     and at itself that it captures nothing beside them: I18.
package oracle
