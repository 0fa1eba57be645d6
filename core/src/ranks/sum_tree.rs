//! A sum whose order of additions depends on the number of summands alone, wherever each of them is computed.
//!
//! Sums of floating-point numbers depend on their order. Summands are the leaves of a tree in which each node covers an aligned block of 2^k leaves
//! and adds its halves; what remains at the end is added from the right. Seven leaves: `((0+1)+(2+3)) + ((4+5)+6)`. A rank that has the leaves
//! of a block computes the nodes within it, and whoever has the nodes of all blocks finishes the tree: the same additions as if one had them all.

/// Sum of the leaves `first .. first + len`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node<T> {
    /// Number of the first leaf.
    pub first: usize,
    /// Number of leaves.
    pub len: usize,
    /// Their sum.
    pub sum: T,
}

/// The largest known nodes of a tree, in the order of their leaves.
#[derive(Debug)]
pub(crate) struct SumTree<T> {
    nodes: Vec<Node<T>>,
}

impl<T> Default for SumTree<T> {
    fn default() -> Self {
        Self { nodes: Vec::new() }
    }
}

impl<T> SumTree<T> {
    /// Adds a node behind those that are there, and each node that becomes complete by it.
    pub fn push(&mut self, node: Node<T>, add: &mut dyn FnMut(T, T) -> T) {
        let mut node = node;
        let is_sibling = |left: &Node<T>, right: &Node<T>| {
            left.len == right.len && left.first + left.len == right.first && left.first.is_multiple_of(2 * left.len)
        };
        while self.nodes.last().is_some_and(|left| is_sibling(left, &node)) {
            let Some(left) = self.nodes.pop() else { break };
            node = Node { first: left.first, len: 2 * left.len, sum: add(left.sum, node.sum) };
        }
        self.nodes.push(node);
    }

    /// The largest nodes, in the order of their leaves.
    pub fn nodes(&self) -> &[Node<T>] {
        &self.nodes
    }

    /// The largest nodes, by value.
    pub fn into_nodes(self) -> Vec<Node<T>> {
        self.nodes
    }

    /// The sum of all leaves; none without leaves.
    pub fn total(mut self, add: &mut dyn FnMut(T, T) -> T) -> Option<T> {
        let mut total = self.nodes.pop()?.sum;
        while let Some(left) = self.nodes.pop() {
            total = add(left.sum, total);
        }
        Some(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sum written down, so that the order of additions shows.
    fn written(a: String, b: String) -> String {
        format!("({a}+{b})")
    }

    fn leaf(at: usize) -> Node<String> {
        Node { first: at, len: 1, sum: at.to_string() }
    }

    fn by_one(n: usize) -> String {
        let mut tree = SumTree::default();
        (0..n).for_each(|at| tree.push(leaf(at), &mut written));
        tree.total(&mut written).unwrap()
    }

    #[test]
    fn the_order_of_additions_by_hand() {
        assert_eq!(by_one(1), "0");
        assert_eq!(by_one(3), "((0+1)+2)");
        assert_eq!(by_one(7), "(((0+1)+(2+3))+((4+5)+6))");
        assert_eq!(by_one(6), "(((0+1)+(2+3))+(4+5))");
    }

    #[test]
    fn blocks_of_any_number_of_ranks_give_the_same_additions() {
        for n in 1..=24 {
            for n_ranks in 1..=8 {
                let mut whole = SumTree::default();
                for rank in 0..n_ranks {
                    let mut block = SumTree::default();
                    (n * rank / n_ranks..n * (rank + 1) / n_ranks).for_each(|at| block.push(leaf(at), &mut written));
                    block.into_nodes().into_iter().for_each(|node| whole.push(node, &mut written));
                }
                assert_eq!(whole.total(&mut written).unwrap(), by_one(n), "{n} leaves, {n_ranks} ranks");
            }
        }
        assert_eq!(SumTree::<String>::default().total(&mut written), None);
    }
}
