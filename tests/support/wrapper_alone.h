/* SPDX-License-Identifier: Apache-2.0 */
#include <leasehold/leasehold.hpp>
